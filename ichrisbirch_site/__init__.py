"""The site: reads the environment, knows the embedded services, wires the app `backups` into a Django project."""
