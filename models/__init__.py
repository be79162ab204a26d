"""The records of each topic, one module a topic. Decoded from raw bytes, never by Faust."""

from models.batch_status import BatchStatus
from models.data_ingestion import DataIngestion
from models.embedding import Embedding
from models.embedding_request import EmbeddingRequest
from models.financial_document import FinancialDocument
from models.llm_result import LlmResult
from models.summary_request import SummaryRequest
from models.text_message import TextMessage
from models.vector_update import VectorUpdate

__all__ = [
    "BatchStatus",
    "DataIngestion",
    "Embedding",
    "EmbeddingRequest",
    "FinancialDocument",
    "LlmResult",
    "SummaryRequest",
    "TextMessage",
    "VectorUpdate",
]
