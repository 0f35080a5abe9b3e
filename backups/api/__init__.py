"""The REST API: parse, authorise, call one story, translate the answer."""
