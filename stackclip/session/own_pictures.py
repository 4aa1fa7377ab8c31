"""The calls of a session about pictures of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from stackclip.defaults import GOOD_METHODS, TRAINING
from stackclip.ops.progress import Listener, silent
from stackclip.session.conditions import InspectionWords, Names, names_of
from stackclip.session.pictures import Inspection, PictureScore
from stackclip.session.site import path_of
from stackclip.session.steps import Steps

if TYPE_CHECKING:
    from stackclip.export import Exported, GraphOptions
    from stackclip.session.fitting import Fitted

__all__ = ["OwnPictures"]


class OwnPictures(Steps):
    """Inspects, fits, watches and exports; a session is one."""

    def inspect(
        self,
        pictures: PathLike[str] | str,
        *,
        object: str = "",  # noqa: A002 - as the verb's option is called
        methods: Names = (),
        good: PathLike[str] | str | None = None,
        train_on: Names = TRAINING,
        output: PathLike[str] | str | None = None,
        progress: Listener = silent,
        **words: Unpack[InspectionWords],
    ) -> Inspection:
        """Score the pictures in a folder, with `object` for what they show; they need no labels, and none is read.

        Methods train on `train_on`; those that are shown normal pictures are shown some of the folder `good`, or all of
        them where they cannot do without and do not say how many. The good pictures that a method was not shown give
        the threshold of its verdicts, and its heat maps their scale; without `good` there are none. With none named the
        method is `patchcore-clip` where there are good pictures, else `stackclip`. A `detector` that `fit` saved brings
        all of that with it. In the folder `output`, if given, each method has its scores in files, and heat maps.
        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError where nothing could be scored.
        """
        from stackclip.session.own import Asked, inspect

        asked = Asked(object, names_of(methods), path_of(good), train_on, words, progress)
        return inspect(self, Path(pictures), path_of(output), asked)

    def fit(
        self,
        output: PathLike[str] | str,
        *,
        object: str,  # noqa: A002 - as the verb's option is called
        good: PathLike[str] | str,
        method: str = GOOD_METHODS[0],
        train_on: Names = TRAINING,
        progress: Listener = silent,
        **words: Unpack[InspectionWords],
    ) -> Fitted:
        """Save a method that was made ready for an `object` by the pictures in the folder `good`, with its threshold.

        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError for a method that needs all tested
        pictures, and for a picture that fails.
        """
        from stackclip.session.own import Asked, fit

        asked = Asked(object, (method,), path_of(good), train_on, words, progress)
        return fit(self, Path(output), asked)

    def watch(
        self,
        pictures: PathLike[str] | str,
        detector: PathLike[str] | str,
        output: PathLike[str] | str,
        *,
        false_alarms: float | None = None,
        maps: str = "",
        every: float = 2.0,
        progress: Listener = silent,
    ) -> Iterator[tuple[PictureScore, ...]]:
        """What a detector says of pictures as they arrive in a folder, batch by batch; it never ends by itself.

        The folder is looked at `every` so many seconds. `false_alarms` is as in `inspect`, else what it was fitted for.
        Scores, heat maps and regions are added to the tables in
        `output` before they are given; what has a line there is not scored again, also by another run.
        Raises UsageError, WeightsError, FingerprintMismatch, DataError, StoreError and OSError.
        """
        from stackclip.session.own import Asked, watch

        words = {"detector": detector, "maps": maps, "false_alarms": false_alarms}
        asked = Asked("", (), None, (), words, progress)
        return watch(self, Path(pictures), Path(output), asked, every)

    def export_onnx(
        self,
        output: PathLike[str] | str,
        *,
        object: str = "",  # noqa: A002 - as the verb's option is called
        method: str = "",
        good: PathLike[str] | str | None = None,
        train_on: Names = TRAINING,
        check: PathLike[str] | str | None = None,
        options: GraphOptions | None = None,
        progress: Listener = silent,
        **words: Unpack[InspectionWords],
    ) -> Exported:
        """Write a detector of `object` as an ONNX graph, with a JSON beside it that says how it is used.

        The method trains on `train_on` and is shown normal pictures of the folder `good`, as by `inspect`, or it is a
        `detector` that `fit` saved, whose threshold goes into the JSON. The graph is
        run by onnxruntime on the pictures in the folder `check`, or on generated ones, and is kept where it says what
        the live detector says (`stackclip.export.export_onnx`). Nothing but the CPU in fp32 serves to make it.
        Raises UsageError, DataError, WeightsError, StoreError, PictureError, NotApplicable for a method of which no
        graph can be made, and StackclipError for one that is not near enough.
        """
        from stackclip.session.exporting import write_graph
        from stackclip.session.own import Asked

        asked = Asked(object, names_of(method or ()), path_of(good), train_on, words, progress)
        return write_graph(self, Path(output), asked, path_of(check), options)
