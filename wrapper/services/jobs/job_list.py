"""A list of jobs: a caller's own, and for admins those of all keys."""

from __future__ import annotations

from collections.abc import Sequence

from wrapper.services.jobs.job import JobView
from wrapper.services.jobs.service import Jobs
from wrapper.services.listing import Listing, ListQuery
from wrapper.services.principal import Principal
from wrapper.services.usage.access import readable_key

# The list of all keys has so many jobs at most. Pages read it again while they are open.
MOST_LISTED = 5000


class JobList:
    """Those of *jobs* whose ids begin with *prefix*, the newest first."""

    def __init__(self, jobs: Jobs, prefix: str):
        self._jobs = jobs
        self._prefix = prefix

    def search(self, principal: Principal, query: ListQuery) -> Listing[JobView]:
        """Return jobs of *principal*, or as an admin of all keys, the newest 5,000 of them.

        Raises PermissionDenied where the query has another's key and *principal* is no admin, and
        Unavailable.
        """
        key = readable_key(principal, query.key, f"the background work of {query.key!r}")
        if key is None:
            all_ids: Sequence[str] = [id_ for _, id_ in self._jobs.keys(MOST_LISTED)]
        else:
            all_ids = self._jobs.ids(key)
        ids = [id_ for id_ in all_ids if id_.startswith(self._prefix)]
        found = [id_ for id_ in ids if query.matches(id_)]
        rows = [view for id_ in query.page_of(found) if (view := self._jobs.look(id_))]
        return Listing(rows, len(found), len(ids), key)
