"""A judge that is a model behind an OpenAI-compatible server (vLLM, Ollama, llama.cpp), which tells log-probabilities."""

from collections.abc import Sequence

from lumosx_core.data.relations.server_transport import AnswerError, Message, ServerSettings, Transport


class ServerJudge:
    """Asks one question at a time, as `metrics/judge.py` wants it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.transport = Transport(settings)

    def __call__(self, question: str, pictures: Sequence[bytes]) -> float | str:
        """The probability of yes, or what was wrong with the answer. A server that is away is waited for. Raises InputError if
        it stays away, if none answers at first, and for a model that it does not have."""
        if not self.transport.mode:
            self.transport.start()
        asked = [Message(role="user", text=question, pictures=tuple(pictures))]
        while True:
            try:
                return self.transport.ask_yes(asked)
            except AnswerError as fault:
                if not (fault.refused and self.transport.wait_until_well()):
                    return str(fault)
