# The same commands for people, pre-commit and CI. Activate a virtual environment first.
.PHONY: install check test docs diagrams bench soak weights picture clean

install: ## everything that development needs
	python -m pip install -c constraints.txt -e ".[dev]"

check: ## format, lint, types, import contracts
	ruff format --check .
	ruff check .
	mypy
	lint-imports

test: ## all tests
	python -m pytest

docs: ## the site, in site/; a warning is an error
	python docs/stage.py
	zensical build --strict --clean

diagrams: ## the network and its blocks, drawn from the code
	python docs/diagrams.py

bench: ## every benchmark, one after the other; rows go to benchmarks/results
	python benchmarks/evaluation.py
	python benchmarks/training.py
	python benchmarks/folder.py
	python benchmarks/batch.py
	python benchmarks/tiles.py
	python benchmarks/video.py
	python benchmarks/serve.py
	python benchmarks/peers.py

soak: ## bad inputs, odd files, bad clients, kills at random moments; benchmarks/results/soak.md tells the minutes; Linux
	python benchmarks/bad_pictures.py
	python benchmarks/bad_inputs.py
	python benchmarks/bad_files.py
	python benchmarks/bad_clients.py
	python benchmarks/kills.py

DATA ?= ../shared/data
BACKBONE ?= ../shared/weights/featherface_v1_widerface.safetensors
TRAIN = torchrun --nproc-per-node 2 -m featherface
weights: ## the method that made the shipped weights, from a backbone to a graph: hours; goes on where it was
	$(TRAIN) train configs/dense.toml runs/dense --data $(DATA) --weights $(BACKBONE) --crops 131648
	$(TRAIN) train configs/dense_multibox.toml runs/dense_multibox --data $(DATA) --weights runs/dense/model.safetensors
	featherface prune configs/prune.toml runs/prune --data $(DATA) --weights runs/dense_multibox/model.safetensors
	featherface train configs/pruned.toml runs/pruned --data $(DATA) --weights runs/prune/pruned.safetensors
	featherface train configs/large_crops.toml runs/large_crops --data $(DATA) --weights runs/pruned/model.safetensors
	featherface calibrate runs/large_crops/model.safetensors $(DATA)/faces/val runs/large_crops.safetensors
	featherface export runs/large_crops.safetensors runs/large_crops.onnx
	featherface detect $(DATA)/faces/train/images $(DATA)/more/train/images --weights runs/large_crops.onnx --score 0.05 --output runs/mistakes.jsonl
	featherface train configs/mistakes.toml runs/mistakes --mistakes runs/mistakes.jsonl --data $(DATA) --weights runs/large_crops/model.safetensors
	featherface calibrate runs/mistakes/model.safetensors $(DATA)/faces/val runs/mistakes.safetensors
	featherface export runs/mistakes.safetensors runs/mistakes.onnx
	featherface detect $(DATA)/faces/train/images $(DATA)/more/train/images --weights runs/mistakes.onnx --score 0.05 --output runs/mistakes_again.jsonl
	featherface train configs/detail.toml runs/detail --mistakes runs/mistakes_again.jsonl --data $(DATA) --weights runs/mistakes/model.safetensors
	featherface calibrate runs/detail/model.safetensors $(DATA)/faces/val runs/detail.safetensors
	featherface export runs/detail.safetensors runs/detail.onnx
	featherface detect $(DATA)/faces/train/images $(DATA)/more/train/images --weights runs/detail.onnx --score 0.05 --output runs/mistakes_third.jsonl
	featherface train configs/both_ends.toml runs/both_ends --mistakes runs/mistakes_third.jsonl --data $(DATA) --weights runs/detail/model.safetensors
	featherface calibrate runs/both_ends/model.safetensors $(DATA)/faces/val runs/nano_b_enhanced.safetensors
	featherface export runs/nano_b_enhanced.safetensors runs/nano_b_enhanced.onnx
	featherface export runs/nano_b_enhanced.safetensors runs/nano_b_enhanced_int8.onnx --int8 $(DATA)/faces/train

picture: ## the collage and, by the shipped weights, the pictures of the README and of docs/
	python assets/make_collage.py
	featherface detect assets/collage.jpg --draw found
	cp found/collage.jpg assets/found.jpg
	python docs/pictures.py

clean: ## caches and builds; never data or runs
	rm -rf build dist site web/build web/dist web/site found .coverage .hypothesis .import_linter_cache .mypy_cache
	rm -rf .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path "./.git/*" -prune -exec rm -rf {} +
