"""Who follows whose presence at a server in memory (RFC 6121 section 3). Accounts are bare JIDs."""


class Rosters:
    """Requests to follow, and those that were admitted; both outlive every session."""

    def __init__(self) -> None:
        self._asked: dict[str, set[str]] = {}
        self._followers: dict[str, set[str]] = {}

    def ask(self, follower: str, followed: str) -> None:
        """Remembers a request until it is decided; an account sees its own sessions without one."""
        if follower == followed:
            return
        self._asked.setdefault(followed, set()).add(follower)

    def asking(self, followed: str) -> list[str]:
        """Who waits for a decision."""
        return sorted(self._asked.get(followed, ()))

    def decide(self, follower: str, followed: str, *, admitted: bool) -> None:
        """Ends a request."""
        self._asked.get(followed, set()).discard(follower)
        if admitted:
            self._followers.setdefault(followed, set()).add(follower)

    def end(self, follower: str, followed: str) -> None:
        """Ends a request or a following."""
        self._asked.get(followed, set()).discard(follower)
        self._followers.get(followed, set()).discard(follower)

    def follows(self, follower: str, followed: str) -> bool:
        """Whether the one was admitted by the other."""
        return follower in self._followers.get(followed, ())

    def followers(self, followed: str) -> list[str]:
        """Who was admitted."""
        return sorted(self._followers.get(followed, ()))

    def followed_by(self, follower: str) -> list[str]:
        """By whom an account was admitted."""
        return sorted(followed for followed, those in self._followers.items() if follower in those)

    def forget_account(self, account: str) -> None:
        """Forgets all that an account asked, was asked, follows, or is followed by."""
        for table in (self._asked, self._followers):
            table.pop(account, None)
            for followers in table.values():
                followers.discard(account)
