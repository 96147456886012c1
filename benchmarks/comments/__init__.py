"""Comments over HTTP: how many a second one core scores through Perspective's endpoint, beside another model."""
