"""The tables of jobs and of their numbers by user."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text, Uuid

user_jobs = Table(
    "user_jobs",
    MetaData(),
    Column("job_id", BigInteger, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("is_private", Boolean),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
)

user_job_counts = Table(
    "user_job_counts",
    MetaData(),
    Column("user_id", Uuid, primary_key=True),
    Column("is_private", Boolean, primary_key=True),
    Column("pending", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
)
