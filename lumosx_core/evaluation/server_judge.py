"""A judge that is a model behind an OpenAI-compatible server (vLLM, Ollama, llama.cpp), which tells log-probabilities."""

from collections.abc import Sequence

from lumosx_core.data.relations.language_model import AnswerError, Message
from lumosx_core.data.relations.server_transport import ServerSettings, Transport
from lumosx_core.errors import InputError

ASKED = 3  # times that a question is asked of a server that is busy, broken or away, or whose answers break off


class ServerJudge:
    """Asks one question at a time, as `metrics/judge.py` wants it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.transport = Transport(settings)

    def __call__(self, question: str, pictures: Sequence[bytes]) -> float | str:
        """The probability of yes, or what was wrong with the answer. A server that is away, or whose answer
        breaks off, is waited for, and asked again.

        Raises InputError, so that no score is kept, if the server stays away or does not answer this question ASKED times, if
        none answers at first, and for a model that it does not have.
        """
        asked = [Message(role="user", text=question, pictures=tuple(pictures))]
        faults: list[AnswerError] = []
        while len(faults) < ASKED:
            try:
                return self.transport.ask_yes(asked)
            except AnswerError as fault:
                if not (fault.refused or fault.broken_off):
                    return str(fault)
                faults.append(fault)
                self.transport.wait_until_well()
        raise InputError(
            f"the server at {self.transport.settings.url} greets, but did not answer one question {ASKED} times "
            f"({faults[-1]}); look at its log, and run the same command again, which goes on where it stopped"
        )
