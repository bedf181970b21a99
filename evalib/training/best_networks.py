"""What others have published of small networks for MNIST."""

import dataclasses

from evalib.results import read_results


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """One published run: parameters, its test accuracy in percent, owner/repository on GitHub."""

    parameters: int
    percent: float
    source: str


# Single runs, some of them the best of many epochs on the test images.
PUBLISHED_RESULTS = tuple(PublishedResult(**one) for one in read_results("study/published.json"))
