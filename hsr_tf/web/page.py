"""The page of `hsr demo`, by Panel: two tabs, a pair or a photograph; progress; the report; downloads.

One `Visit` a browser tab. It looks at its job four times a second, so that threads never touch the page, and
what it kept is removed when the tab is closed.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn

from hsr_tf.io.formats import formats
from hsr_tf.web.jobs import (
    MIB,
    REPORT,
    Job,
    Limits,
    PairTask,
    PhotographTask,
    Task,
    pair_methods,
    photograph_methods,
)
from hsr_tf.web.results import Results

TITLE = "hsr demo"
POLL_MILLISECONDS = 250
FORMATS = ", ".join(one.name for one in formats() if not one.is_folder)
WIDTH = 330
STYLE = """
.hsr-error { color: #a40000; font-weight: 600; } .hsr-facts td { padding: 0 1em 0 0; }
@media (prefers-color-scheme: dark) { .hsr-error { color: #ff9d9d; } }
"""


class BoundedDropper(pn.widgets.FileDropper):
    """A place to drop files on that counts their bytes here too, whatever a browser claims.

    Its `value` holds bytes by name; `refusal` says why files were not taken, empty where they were.
    """

    def __init__(self, max_bytes: int, **params: Any) -> None:
        self.max_bytes, self.refusal = max_bytes, ""
        super().__init__(max_total_file_size=f"{max_bytes // MIB}MB", chunk_size=MIB, **params)  # type: ignore[no-untyped-call]

    def files(self) -> dict[str, bytes]:
        """Bytes by name."""
        return {n: c.encode() if isinstance(c, str) else bytes(c) for n, c in (self.value or {}).items()}

    def _process_event(self, event: Any) -> None:
        self.refusal = ""
        if event.event_name == "upload_event":
            waiting = [chunk for chunks in self._file_buffer.values() for chunk in chunks]
            held = [*waiting, *(self.value or {}).values(), event.data["data"]]
            if sum(map(len, held)) > self.max_bytes:
                self._file_buffer.clear()
                self.value = {}
                self.refusal = f"more than {self.max_bytes // MIB} MiB; crop the files, or use hsr fuse"
                return
        super()._process_event(event)


class Visit:
    """What one browser tab shows.

    Args:
        limits: of uploads, memory and time.
        results: where finished jobs are offered for download.
    """

    def __init__(self, limits: Limits, results: Results) -> None:
        self._limits, self._results = limits, results
        self.is_open = True
        self._job: Job | None = None
        self._shown = ""
        self._droppers = {
            name: BoundedDropper(limits.max_upload_mib * MIB, multiple=multiple, name=label, width=WIDTH)
            for name, label, multiple in (
                ("lr_hsi", "Coarse hyperspectral cube", True),
                ("hr_msi", "Sharp colour or multispectral image", True),
                ("photograph", "Photograph (PNG, JPEG, TIFF)", False),
            )
        }
        labels = {label: name for name, label in pair_methods().items()}
        self._pair_method = pn.widgets.Select(name="Method", options=labels, width=WIDTH)
        self._pair_method.value = "auto"
        self._estimate = pn.widgets.Checkbox(name="Estimate blur and response from the images", value=True)
        self._register = pn.widgets.Checkbox(name="Look for shift, rotation and scale first", value=True)
        self._photograph_method = pn.widgets.Select(name="Method", options=photograph_methods(), width=WIDTH)
        self._photograph_method.value = "vdsr"
        self._scale = pn.widgets.FloatInput(
            name="Factor", value=2.0, start=1.0, end=8.0, step=0.5, width=WIDTH
        )
        self._bar = pn.indicators.Progress(value=-1, active=True, visible=False, width=WIDTH)
        self._said = pn.pane.HTML("", stylesheets=[STYLE], width=WIDTH)
        self._stop = pn.widgets.Button(name="Stop", visible=False, width=WIDTH)
        self._view = pn.Column(
            sizing_mode="stretch_both", min_height=600, styles={"flex": "1 1 560px", "min-width": "0"}
        )
        self._buttons = {
            "pair": pn.widgets.Button(name="Fuse", button_type="primary", width=WIDTH),
            "photograph": pn.widgets.Button(name="Enlarge", button_type="primary", width=WIDTH),
        }
        self._buttons["pair"].on_click(lambda _: self._begin(self._pair_task))
        self._buttons["photograph"].on_click(lambda _: self._begin(self._photograph_task))
        self._stop.on_click(lambda _: self._end())

    def page(self) -> Any:
        """The page; its job is looked at until the tab is closed."""
        pair = pn.Column(
            pn.pane.Markdown(
                f"Two images of the same ground: {FORMATS}. Drop both files of an ENVI image together.",
                width=WIDTH,
            ),
            self._droppers["lr_hsi"],
            self._droppers["hr_msi"],
            self._pair_method,
            self._estimate,
            self._register,
            self._buttons["pair"],
        )
        photograph = pn.Column(
            self._droppers["photograph"], self._photograph_method, self._scale, self._buttons["photograph"]
        )
        pn.state.add_periodic_callback(self.look, period=POLL_MILLISECONDS)
        pn.state.on_session_destroyed(lambda _: self.leave())
        tabs = pn.Tabs(("A pair", pair), ("A photograph", photograph))
        side = pn.Column(tabs, self._bar, self._said, self._stop, styles={"flex": f"0 0 {WIDTH + 20}px"})
        note = "Files stay on this machine and are removed when this page is closed."
        self._view.append(pn.pane.Markdown(f"Drop the files, choose a method, press the button.\n\n{note}"))
        parts = pn.FlexBox(side, self._view, flex_direction="row", sizing_mode="stretch_both")
        return pn.Column(pn.pane.Markdown(f"# {TITLE}"), parts, sizing_mode="stretch_both")

    def leave(self) -> None:
        """The tab was closed."""
        self.is_open = False
        self.close()

    def close(self) -> None:
        """Remove what is kept of the last job."""
        if self._job is not None:
            self._results.forget(self._job)
            self._job.close()
            self._job = None

    def look(self) -> None:
        """Show how far the job is."""
        refusals = [dropper.refusal for dropper in self._droppers.values() if dropper.refusal]
        if refusals:
            self._say(_error(refusals[0]))
        if self._job is None:
            return
        progress = self._job.progress
        running = not progress.is_done
        self._bar.visible = self._stop.visible = running
        for button in self._buttons.values():
            button.disabled = running
        self._bar.value = -1 if progress.share is None else round(100 * progress.share)
        if running:
            self._say(html.escape(progress.stage) + " …")
        elif progress.error is not None:
            self._say(_error(progress.error))
        elif progress.files is not None and self._job not in self._results:
            self._offer(progress.files, progress.facts)

    def _end(self) -> None:
        if self._job is not None:
            self._job.stop()

    def _begin(self, make: Callable[[], Task]) -> None:
        self.close()
        self._view.clear()
        try:
            self._job = Job(make())
        except (ValueError, OSError) as error:
            self._say(_error(str(error)))
            return
        self._job.start()
        self.look()

    def _pair_task(self) -> Task:
        images = {name: self._droppers[name].files() for name in ("lr_hsi", "hr_msi")}
        for name, files in images.items():
            if not files:
                raise ValueError(f"{name}: drop the file here first")
        return PairTask(
            **images,
            method=self._pair_method.value,
            estimate_cameras=self._estimate.value,
            limits=self._limits,
            register=self._register.value,
        )

    def _photograph_task(self) -> Task:
        files = self._droppers["photograph"].files()
        if not files:
            raise ValueError("photograph: drop the file here first")
        return PhotographTask(
            files, self._photograph_method.value, float(self._scale.value or 1.0), self._limits
        )

    def _offer(self, files: Mapping[str, Any], facts: tuple[tuple[str, str], ...]) -> None:
        """The report in a frame that can reach nothing of this page, the downloads, the facts."""
        assert self._job is not None
        place = self._results.offer(self._job, files)
        links = "".join(
            f'<li><a href="{place}/{html.escape(name)}" download>{html.escape(name)}</a></li>'
            for name in files
        )
        rows = "".join(f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in facts)
        self._say(f'<table class="hsr-facts">{rows}</table><p>Download:</p><ul>{links}</ul>')
        frame = (
            f'<iframe src="{place}/{REPORT}" title="The report" sandbox="allow-scripts allow-downloads" '
            'style="width:100%;height:90vh;border:0"></iframe>'
        )
        self._view[:] = [pn.pane.HTML(frame, sizing_mode="stretch_both", min_height=600)]

    def _say(self, text: str) -> None:
        if text != self._shown:
            self._shown = self._said.object = text


def _error(line: str) -> str:
    return f'<p class="hsr-error" role="alert">Error: {html.escape(line)}</p>'
