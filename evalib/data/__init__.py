"""What goes in: MNIST, photographs, pages of letters, and digits made harder."""

from evalib import offer

_NAMES = {
    "corruptions": "rotate shift add_gaussian_noise dilate erode corrupt",
    "letters": "Line Letter draw_page",
    "mnist": "load_mnist split_validation prepare_images",
    "photos": "PHOTOS sample_photo",
}
__getattr__, __dir__ = offer(__name__, _NAMES)
