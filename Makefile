# One command each for what people do with LokOS on one machine. `make` alone lists them.
MACHINE := python3 -m deploy.machine
BIN := .venv/bin
# The tests have a machine of their own beside a running demo.
TEST_MACHINE := LOKOS_RUN=run/test LOKOS_PORT_BASE=27000
# All states at once have a machine of their own too, each state in one process.
NATION := LOKOS_RUN=run/nation LOKOS_PORT_BASE=29000 LOKOS_STATES=all LOKOS_SMALL=1
# So has what is measured with a crore of members.
BENCH_MACHINE = LOKOS_RUN=run/bench LOKOS_PORT_BASE=28000 LOKOS_STATES=$(STATE)
STATE ?= UP
SERVICE ?= transactions
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--python-version 3.11 --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status logs test check protos lock migrate replay audit-verify rebuild load k8s k8s-check backup restore upgrade nation bench-dedup-accuracy bench-dedup-batch bench-dedup-online bench-login bench-meetings bench-names bench-passbook bench-portfolio bench-profiles bench-qr dedup-batch dedup-model fuzz

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what LokOS needs on this machine (quick when nothing changed)
	@$(MACHINE) setup

demo: up  ## bring everything up and show a day of two states and the nation
	@$(BIN)/python -m deploy.demo

up:  ## start PostgreSQL, RabbitMQ, two states and the nation, and wait until all are well
	@$(MACHINE) up

down:  ## stop everything (python3 -m deploy.machine down --wipe also deletes the data)
	@$(MACHINE) down

status:  ## show every program with its state, process id and age
	@$(MACHINE) status

logs:  ## follow the logs of all programs
	@$(MACHINE) logs --follow

test:  ## run the tests, for instance: make test ARGS="tests/kernel -k month"
	@python3 -m deploy.machine setup --dev
	@$(TEST_MACHINE) $(BIN)/python -m pytest $(ARGS)

check:  ## lint, types, who may import whom, and the contracts
	@$(MACHINE) setup --dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python -m deploy.manifests check

fuzz:  ## try the parsers of what strangers hand in with what nobody would write: make fuzz SECONDS=30 for each
	@$(MACHINE) setup --dev
	@for target in secure_qr legacy_xml offline_ekyc online_ekyc; do $(BIN)/python -m tests.fuzz.papers $$target --seconds $(or $(SECONDS),30) || exit 1; done

protos: setup  ## generate Python from protos/ where a proto changed

lock:  ## pin requirements*.in anew, with hashes, into requirements*.txt
	@$(MACHINE) setup --dev
	$(LOCK) --upgrade requirements.in --output-file requirements.txt
	$(LOCK) --upgrade requirements-dev.in --output-file requirements-dev.txt
	$(LOCK) --upgrade requirements-rootless.in --output-file requirements-rootless.txt
	$(LOCK) --upgrade requirements-load.in --output-file requirements-load.txt
	$(LOCK) --upgrade requirements-dedup.in --output-file requirements-dedup.txt
	$(LOCK) --upgrade requirements-spark.in --output-file requirements-spark.txt

migrate:  ## bring databases, broker users and tables up to date
	@$(MACHINE) provision

replay:  ## try a service's parked events again: make replay STATE=UP SERVICE=transactions
	@$(MACHINE) with $(STATE) -- python -m services.chassis.replay $(SERVICE)

audit-verify:  ## walk the chains of a state's audit and name what does not fit: make audit-verify STATE=UP ARGS="--head ..."
	@$(MACHINE) with $(STATE) -- python -m services.chassis.auditor verify $(ARGS)

rebuild:  ## make a state's figures anew from what the services know: make rebuild STATE=UP
	@$(MACHINE) with $(STATE) -- python -m services.reporting rebuild
	@for owner in identity profiles transactions; do $(MACHINE) with $(STATE) -- python -m services.$$owner restate --to reporting || exit 1; done

load:  ## put load on the running system: make load LOAD_USERS=50 LOAD_SECONDS=300; PEOPLE=file for another one, LOAD_UI=1, ARGS
	@$(MACHINE) setup --load
	@$(BIN)/python -m loadtests --state $(STATE) $(if $(PEOPLE),--people $(PEOPLE)) $(if $(LOAD_USERS),--users $(LOAD_USERS)) \
		$(if $(LOAD_SECONDS),--seconds $(LOAD_SECONDS)) $(if $(LOAD_UI),--ui) $(ARGS)

k8s:  ## make the Kubernetes overlays anew from deploy/states
	@$(MACHINE) setup --dev
	@$(BIN)/python -m deploy.manifests generate

k8s-check:  ## render all Kubernetes manifests and check what comes out
	@$(MACHINE) setup --dev
	@$(BIN)/python -m deploy.manifests check

backup:  ## back a state up while it works: make backup STATE=UP TO=folder
	@$(MACHINE) backup $(STATE) $(if $(TO),"$(TO)")

restore:  ## bring a state back from a backup: make restore STATE=UP FROM=folder
	@$(MACHINE) restore $(STATE) $(if $(FROM),"$(FROM)")

upgrade:  ## replace the running programs by this tree's version, one at a time, while calls go on
	@$(MACHINE) upgrade

nation:  ## run all 34 states and the nation at once and show what that costs; make nation ARGS=down stops them
	@$(MACHINE) setup
	@$(NATION) $(if $(ARGS),$(MACHINE) $(ARGS),$(BIN)/python -m loadtests.budget --nation)

bench-login:  ## how many users log in a second with a one-time password, and what the password's hash costs in it
	@$(MACHINE) with $(STATE) -- python -m loadtests.bench_login $(ARGS)

bench-meetings:  ## how many meetings are stored a second, in how many bytes, and how a steady rate is held; ARGS="--minutes 1"
	@$(MACHINE) setup
	@$(BENCH_MACHINE) $(MACHINE) up
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_meetings --state $(STATE) $(ARGS)
	@$(BENCH_MACHINE) $(MACHINE) down

bench-names:  ## how well spellings of one name meet, by script and region, what that lumps together, and how fast it is
	@$(BIN)/python -m loadtests.bench_names $(ARGS)

bench-passbook:  ## whether a passbook and a pull are as fast with 1 crore members as with 1 lakh; MEMBERS=1000000
	@$(MACHINE) setup
	@$(BENCH_MACHINE) $(MACHINE) up
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_passbook --state $(STATE) $(if $(MEMBERS),--members $(MEMBERS))
	@$(BENCH_MACHINE) $(MACHINE) down

bench-portfolio:  ## how fast the age of 10 lakh loans is told, of a block, a district, the state; LOANS=100000
	@$(MACHINE) setup
	@$(BENCH_MACHINE) $(MACHINE) up
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_portfolio --state $(STATE) $(if $(LOANS),--loans $(LOANS))
	@$(BENCH_MACHINE) $(MACHINE) down

bench-profiles:  ## how many profiles are taken and let in a second, and how fast My Task is, with 1 lakh and 1 crore members; MEMBERS=20000
	@$(MACHINE) setup
	@$(BENCH_MACHINE) $(MACHINE) provision $(STATE)
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_profiles --state $(STATE) $(if $(MEMBERS),--members $(MEMBERS)) $(ARGS)
	@$(BENCH_MACHINE) $(MACHINE) down

bench-qr:  ## how many dense QRs are read from pictures taken badly, and how fast; ARGS="--codes 20"
	@$(MACHINE) setup
	@$(BIN)/python -m loadtests.bench_qr $(ARGS)

bench-dedup-online:  ## how long a check of one woman takes with 10 lakh and with 1.4 crore on the books, beside pg_trgm; SIZE=1000000 SEED=43
	@$(MACHINE) setup
	@$(BENCH_MACHINE) $(MACHINE) up
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_dedup_online --state $(STATE) $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED)) $(ARGS)
	@$(BENCH_MACHINE) $(MACHINE) down

bench-dedup-accuracy:  ## how well duplicates are found among 2 lakh invented members, beside Splink as it comes; SIZE=1000000 SEED=43 MODEL=file
	@$(MACHINE) setup --dedup
	@.venv-dedup/bin/python -m loadtests.bench_dedup_accuracy $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED)) $(if $(MODEL),--model $(MODEL)) $(ARGS)

bench-dedup-batch:  ## how long 1.4 crore invented members take to be compared with each other, from PostgreSQL and back; SIZE=1000000 SEED=43
	@$(MACHINE) setup --dev
	@$(BENCH_MACHINE) $(MACHINE) provision $(STATE)
	@$(BENCH_MACHINE) $(BIN)/python -m loadtests.bench_dedup_batch --state $(STATE) $(if $(SIZE),--size $(SIZE)) $(if $(SEED),--seed $(SEED)) $(ARGS)
	@$(BENCH_MACHINE) $(MACHINE) down

dedup-batch:  ## compare all members of a state with each other, beside the live service; goes on where it was left: make dedup-batch STATE=UP
	@$(MACHINE) with $(STATE) -- python -m services.dedup batch --start

# The seed is no bench's.
dedup-model:  ## train the model that ships anew, on 4 lakh invented members
	@$(MACHINE) setup --dedup
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && \
		.venv-dedup/bin/python -m loadtests.bench_dedup_accuracy --size 400000 --seed 7 --write "$$folder/members.parquet" && \
		.venv-dedup/bin/python -m services.dedup train --members "$$folder/members.parquet" --out services/dedup/models/default.json.gz \
			--name "the default, of invented members: train a state's own" --trained-on "400000 invented members, seed 7 of loadtests/nation"
