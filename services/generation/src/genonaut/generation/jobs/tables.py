"""The tables of jobs: what the API shows, and which items of a finished job have been seen."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

jobs = Table(
    "generation_jobs",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("job_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("content_id", BigInteger),
    Column("content_ids", JSONB, nullable=False),
    Column("error_message", Text),
    Column("error_type", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("dispatch_id", Uuid, nullable=False),
    Column("negative_prompt", Text, nullable=False),
    Column("checkpoint_model", Text, nullable=False),
    Column("lora_models", JSONB, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("sampler_params", JSONB, nullable=False),
    Column("comfyui_prompt_id", Uuid),
    Column("output_paths", JSONB, nullable=False),
    Column("thumbnail_paths", JSONB, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("is_private", Boolean, nullable=False),
)

item_arrivals = Table(
    "item_arrivals",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("image_index", Integer, primary_key=True),
    Column("content_id", BigInteger, nullable=False),
)
"""Of jobs of which not all items have been seen yet. Part of a reaction, not a projection: no rebuild touches it."""
