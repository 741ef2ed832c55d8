"""`hsr methods`: what can be chosen, what it needs and which weights are shipped."""

from __future__ import annotations

from hsr_tf.console import terminal

EXAMPLES = ("hsr methods",)


def methods() -> None:
    """List the methods, what each needs beside the images, and the weights that are shipped."""
    from hsr_tf import methods as registry
    from hsr_tf.networks.cards import shipped_models
    from hsr_tf.networks.selection import describe_card
    from hsr_tf.report.screen import methods_table

    shipped: dict[str, list[str]] = {}
    for card in shipped_models():
        line = f"{card.folder.name}, for {describe_card(card).partition(', ')[2]}"
        shipped.setdefault(card.config.method, []).append(line)
    terminal.show(methods_table(registry.describe(), shipped))
