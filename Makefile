.PHONY: setup check test bench requirements

setup:            ## install everything, development tools included
	./icb setup --dev

check:            ## lint, types, layers, migrations, system checks
	./icb check

test:
	./icb test

bench:            ## side by side with pg_dump and django-dbbackup; takes some minutes and 10 GB of disk
	./icb bench

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make requirements"

requirements:     ## pin and hash requirements*.in (needs uv)
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-embedded.in -c requirements.txt -o requirements-embedded.txt
	$(COMPILE) requirements-embedded-postgres.in -o requirements-embedded-postgres.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
