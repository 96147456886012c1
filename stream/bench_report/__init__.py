"""`hearken bench report`: what the other benches measured, as tables, plots and the page docs/performance.md."""
