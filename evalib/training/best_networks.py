"""What others have published of small networks for MNIST."""

from collections import namedtuple

from evalib.results import read_results

# Parameters, test accuracy in percent, owner/repository on GitHub. Single runs, some of them the
# best of many epochs on the test images.
PublishedResult = namedtuple("PublishedResult", "parameters percent source")
PUBLISHED_RESULTS = tuple(PublishedResult(**one) for one in read_results("study/published.json"))
