"""Is all well?"""

from rest_framework.request import Request
from rest_framework.response import Response

from backups import health
from backups.access import Action
from backups.api import examples
from backups.api.base import Operations
from backups.api.schema import operation
from backups.api.told import HealthSerializer


class Wellbeing(Operations):
    """Of everything that backups depend on."""

    @operation(
        id="getHealth",
        summary="Is all well?",
        needs=Action.VIEW,
        answers={200: HealthSerializer},
        examples=[examples.HEALTH],
        tag="health",
    )
    def retrieve(self, request: Request) -> Response:
        """Each thing that backups depend on, with its value, its threshold and what to do. 200 whatever it says: `is_ok` tells.
        A report is shown again for some seconds.
        """
        return Response(health.full_report.get())
