# Every target is a thin wrapper: `make help` lists them, `genonaut --help` teaches the rest.
PYTHON ?= python3
export PYTHON
BIN := .venv/bin
# Processes that share the tests of libraries and services, each with servers of its own. Those of e2e share one stack.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo up down reset status smoke init init-dev init-demo init-test migrate-dev migrate-demo migrate-test migrate-prep migrate-step2-dev migrate-step2-demo migrate-step2-test dump-schema backup restore doctor test lint types imports unit integration integration-containers compose-test e2e chaos checker fuzz bench bench-tags format lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv from requirements.lock (every target does it by itself)
	@deploy/setup.sh

demo: setup ## start everything and make an image in front of you
	@$(BIN)/genonaut demo

up: setup ## start everything and leave it running
	@$(BIN)/genonaut up

down: setup ## stop it, keep the data
	@$(BIN)/genonaut down

reset: setup ## stop it and forget the data
	@$(BIN)/genonaut reset --yes

status: setup ## what runs where
	@$(BIN)/genonaut status

smoke: setup ## the main job over HTTP, against whatever runs
	@$(BIN)/genonaut smoke

init: init-dev ## the same as init-dev

init-dev: setup ## make what is missing of the development database: roles, schemas, streams, tables
	@$(BIN)/genonaut db init --env dev

init-demo: setup ## the same for the demo database
	@$(BIN)/genonaut db init --env demo

init-test: setup ## empty the test database and its streams, and hang a small gallery in it
	@$(BIN)/genonaut db init --env test

migrate-dev: setup ## bring the tables of the development database to the newest revision
	@$(BIN)/genonaut db migrate --env dev

migrate-demo: setup ## the same for the demo database
	@$(BIN)/genonaut db migrate --env demo

migrate-test: setup ## the same for the test database
	@$(BIN)/genonaut db migrate --env test

migrate-prep: setup ## write a new, empty migration (SERVICE=content WORD=shelves)
	@$(if $(and $(SERVICE),$(WORD)),,echo "Migrations are written, not generated. Say: make migrate-prep SERVICE=content WORD=shelves"; exit 2)
	@$(BIN)/genonaut db new-migration $(SERVICE) $(WORD)

migrate-step2-dev: migrate-dev ## the old name of migrate-dev: there is one step

migrate-step2-demo: migrate-demo ## the old name of migrate-demo

migrate-step2-test: migrate-test ## the old name of migrate-test

dump-schema: setup ## write deploy/postgres/schema.sql, the tables of all services as the migrations make them
	@$(BIN)/genonaut db dump-schema

backup: setup ## back up the database of APP_ENV (TO=folder)
	@$(if $(TO),,echo "Say where: make backup TO=folder"; exit 2)
	@$(BIN)/genonaut db backup $(TO)

restore: setup ## restore it, after make down (FROM=folder, and REPLACE=1 in the place of what is there)
	@$(if $(FROM),,echo "Say what: make restore FROM=folder"; exit 2)
	@$(BIN)/genonaut db restore $(FROM) $(if $(REPLACE),--replace)

doctor: setup ## what is well in the running platform's database, what is not, and what to do about it
	@for service in content generation analytics notifications; do echo "$$service:"; $(BIN)/genonaut $$service doctor || ill=1; done; test -z "$$ill"

test: setup lint types imports ## lint, types, import contracts and all tests, on servers of their own
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile -m 'not long' --ignore tests/e2e --ignore tests/fuzz --ignore tests/compose
	@$(BIN)/pytest tests/e2e
	@$(BIN)/pytest tests/fuzz

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check --output-format concise
	@$(BIN)/ruff format --check

types: setup ## mypy, strict
	@$(BIN)/mypy

imports: setup ## the layers, as import-linter contracts
	@$(BIN)/lint-imports

unit: setup ## the tests that need no server
	@$(BIN)/pytest libs/*/tests/unit services/*/tests/unit tests/architecture

integration: setup ## the tests of one service or library with real servers and processes
	@$(BIN)/pytest libs/*/tests/integration services/*/tests/integration tests/contract

integration-containers: setup ## those of what the servers are for, with servers in containers of the images of docker-compose.yml
	@TEST_CONTAINERS=1 $(BIN)/pytest -rs libs/platform/tests/integration services/*/tests/integration tests/contract

compose-test: setup ## docker-compose.yml for real: build, confine, kill, scale; skipped without a Docker daemon
	@$(BIN)/pytest -rs tests/compose

e2e: setup ## the tests over real processes
	@$(BIN)/pytest tests/e2e

chaos: setup ## everything happens to every part of a platform under load (SECONDS=300 SEED=1, or REPEAT=LOG)
	@PYTHONPATH=tests $(BIN)/python -m chaos $(if $(REPEAT),--repeat $(REPEAT),--seconds $(or $(SECONDS),300) --seed $(or $(SEED),1))

checker: setup ## whether the checker of chaos finds every mutant (ten minutes)
	@$(BIN)/pytest tests/chaos/test_checker.py

fuzz: setup ## hostile input over real processes: so many requests of each kind (EXAMPLES=30), so long each abuse (SECONDS=5)
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),30) FUZZ_SECONDS=$(or $(SECONDS),5) $(BIN)/pytest tests/fuzz

bench: setup ## measure (ONLY=relay for one of them): docs/benchmarks.md says what is wanted
	@$(BIN)/python tests/benchmarks/run.py $(ONLY)

bench-tags: setup ## measure search by tags beside the seed's way and others (SIZE=100k, 10m or 88m, which takes 25 GB and an hour)
	@$(BIN)/python tests/benchmarks/bench_tags.py --pairs $(or $(SIZE),10m)

format: setup ## rewrite the code in the house format
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

lock: setup ## resolve requirements.lock anew (deploy/lock.sh --upgrade for newer versions)
	@deploy/lock.sh
