"""``export-model``: puts the embedding model into the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tickertape.embed import choice, trial
from tickertape.embed.export import ensure
from tickertape.errors import TickertapeError
from tickertape.settings import Settings, load


def run(
    settings: Settings,
    *,
    force: bool = False,
    if_missing: bool = False,
    quiet: bool = False,
    calibration: Path | None = None,
) -> dict[str, Any]:
    """Put the configured model into the cache; return what is there now.

    Args:
        settings: Its ``embedding_model``, ``engine`` and ``precision`` say which.
        force: Export even if it is cached.
        if_missing: Take a ready ONNX file where there is one, which needs no torch.
        quiet: Print no progress.
        calibration: Texts for OpenVINO's int8, a line each.

    Raises:
        StartError: one line that says why not.
    """
    precision = choice.candidates(settings)[-1].precision  # what is made from the others
    steps: list[str] = []

    def say(line: str) -> None:
        steps.append(line)
        if not quiet:
            click.echo(line, err=True)

    model = ensure(
        settings, precision, force=force, ready=if_missing, calibration=calibration, say=say
    )
    made = bool(steps)
    if made:
        trial.forget(choice.home(settings))
    auto = settings.model_copy(update={"engine": "auto"})
    several = len(choice.candidates(auto)) > 1
    if several:
        say(f"auto takes {choice.choose(auto).reason}")
    manifest = model.manifest
    return {
        "model": manifest.name,
        "precision": manifest.precision,
        "folder": str(model.folder),
        "revision": manifest.revision,
        "dimension": manifest.dimension,
        "max_tokens": manifest.max_tokens,
        "cached": not made,  # it was there before
    }


@click.command("export-model")
@click.argument("name", required=False)
@click.option("--precision", type=click.Choice(["auto", "fp32", "int8"]), help="Of the weights.")
@click.option(
    "--engine", type=click.Choice(["auto", "onnx", "openvino"]), help="What is to run it."
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Texts for OpenVINO's int8, one a line; our samples if absent.",
)
@click.option("--force", is_flag=True, help="Export even if the model is cached.")
@click.option(
    "--if-missing",
    is_flag=True,
    help="Only if it is not cached; a ready ONNX file is enough (hub, Maven Central).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    name: str | None,
    precision: str | None,
    engine: str | None,
    calibration: Path | None,
    force: bool,
    if_missing: bool,
    as_json: bool,
) -> None:
    """Export an embedding model to ONNX and put it into the cache.

    NAME is a sentence-transformers model on the hub, or a folder; the configured one if absent.
    """
    if force and if_missing:
        raise click.UsageError("--force and --if-missing exclude each other")
    try:
        settings = load(embedding_model=name, precision=precision, engine=engine)
        result = run(
            settings, force=force, if_missing=if_missing, quiet=as_json, calibration=calibration
        )
    except TickertapeError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(result))
    else:
        said = "was there" if result["cached"] else "is there now"
        click.echo(f"{result['model']} ({result['precision']}) {said}: {result['folder']}")
