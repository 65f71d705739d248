"""Offer the study that is most worth a person's time."""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy


class LowestQuality(Strategy):
    """Offer the unlabeled study with the lowest predicted quality; equal ones in the order of their names.

    Studies without a score come last: MONAI Label has them scored after each training run and each request for a study,
    so they are new ones, about which nothing is known yet. The same study is offered until it is labeled.
    """

    def __init__(self, key: str) -> None:
        super().__init__("The study on which the two students agree least")
        self.key = key

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return the study, with its score, or None when all are labeled."""
        datastore.refresh()  # scores are written by another process
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        scores = {image: datastore.get_image_info(image).get(self.key) for image in images}
        if not scores:
            return None
        chosen = min(scores, key=lambda image: (scores[image] is None, scores[image] or 0.0, image))
        return {"id": chosen, "quality": scores[chosen]}
