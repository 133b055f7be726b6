"""What an outbox's file should hold, by what this run, the note and the mark beside it know."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from iotxmpp.agent.outbox.mark import Marked
from iotxmpp.agent.outbox.notes import Note
from iotxmpp.agent.outbox.rows import Epoch, place_of, seq_of

_NO_EPOCH = 0  # of an epoch that only the mark names: it gets an id of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a file should hold.

    Attributes:
        epochs: Each with its first and its last place; of the last ones, some may never have been there.
        certain: Up to which place that is certain, by the epochs' names.
        is_certain: Whether the note could be read, so that nothing else was there.
    """

    epochs: list[Epoch]
    certain: dict[str, int]
    is_certain: bool

    @classmethod
    def of(cls, held: Sequence[Epoch], note: Note | None, mark: Marked | None) -> "Expected":
        """What should be there.

        Args:
            held: What this run knows to be in the file.
            note: The note beside it.
            mark: The mark beside it.
        """
        epochs = list(held)
        certain = {each.name: each.last for each in held}
        if note is not None:
            _join(epochs, [each for each in note.epochs if each.name not in certain])
            for each in note.epochs:
                exact = note.running not in {"", each.name}
                certain.setdefault(each.name, each.last if exact else 0)
        names = {each.name: index for index, each in enumerate(epochs)}
        # A note that does not name it was written when nothing of it was held any more.
        is_told = mark is not None and (note is None or mark.epoch in names)
        if is_told and mark is not None and mark.committed and mark.epoch not in {each.name for each in held}:
            if mark.epoch not in names:
                names[mark.epoch] = len(epochs)
                first = place_of(_NO_EPOCH, 1)
                last = place_of(_NO_EPOCH, mark.committed)
                _join(epochs, [Epoch(id=_NO_EPOCH, name=mark.epoch, boot="", first=first, last=last)])
            index = names[mark.epoch]
            marked = place_of(epochs[index].id, mark.committed)
            epochs[index] = replace(epochs[index], last=max(epochs[index].last, marked))
            certain[mark.epoch] = max(certain.get(mark.epoch, 0), marked)
        return cls(epochs=epochs, certain=certain, is_certain=note is not None)

    def missing_in(self, known: Sequence[Epoch]) -> list[Epoch]:
        """What a file does not account for at its ends, and all that it knows, to be searched for holes."""
        of_file = {each.name: each for each in known}
        found: list[Epoch] = []
        for each in self.epochs:
            there = of_file.pop(each.name, None)
            if there is None:
                found.append(each)
                continue
            first = max(_after_trimmed(there), place_of(there.id, seq_of(each.first)))
            last = max(there.last, there.trimmed)
            if seq_of(self.certain.get(each.name, 0)) > seq_of(last):
                last = place_of(there.id, seq_of(each.last))
            found.append(replace(there, first=first, last=last))
        found += [replace(there, first=_after_trimmed(there)) for there in of_file.values()]
        return found


def with_ids_of(known: Sequence[Epoch], epochs: Sequence[Epoch]) -> list[Epoch]:
    """The epochs under ids that no other epoch of the file has.

    Args:
        known: The epochs of the file.
        epochs: Epochs of the file, and others.
    """
    names = {each.id: each.name for each in known}
    placed: list[Epoch] = []
    for each in epochs:
        number = each.id
        if names.get(number, each.name) != each.name:
            number = free_id([*names, *(other.id for other in epochs)])
        names[number] = each.name
        placed.append(moved(each, number))
    return placed


def moved(epoch: Epoch, number: int) -> Epoch:
    """The epoch under another id."""
    if number == epoch.id:
        return epoch
    first, last = (place_of(number, seq_of(place)) if place else 0 for place in (epoch.first, epoch.last))
    return replace(epoch, id=number, first=first, last=last)


def free_id(taken: Iterable[int]) -> int:
    """The lowest id that is free: what is found later was earlier, so it stands below the running epoch."""
    ids = set(taken)
    return next(number for number in count(1) if number not in ids)


def is_another(known: Sequence[Epoch], held: Sequence[Epoch]) -> bool:
    """Whether a file cannot be the one that this run knows: an epoch's name or id belongs to another."""
    names = {each.id: each.name for each in known}
    ids = {each.name: each.id for each in known}
    return any(
        names.get(each.id, each.name) != each.name or ids.get(each.name, each.id) != each.id for each in held
    )


def _after_trimmed(epoch: Epoch) -> int:
    return max(epoch.trimmed, place_of(epoch.id, 0)) + 1


def _join(epochs: list[Epoch], more: Iterable[Epoch]) -> None:
    """Adds epochs under ids that are free."""
    taken = {each.id for each in epochs}
    for each in more:
        number = free_id(taken) if each.id in taken or each.id == _NO_EPOCH else each.id
        taken.add(number)
        epochs.append(moved(each, number))
