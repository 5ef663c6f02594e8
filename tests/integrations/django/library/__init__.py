"""An app with models, for tests of what is kept of them."""
