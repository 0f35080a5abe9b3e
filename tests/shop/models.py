"""Products, as the last migration leaves them."""

from django.db import models


class Product(models.Model):
    """Has lost its price."""

    name = models.CharField(max_length=100, choices=[("tea", "Tea")])
    note = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name
