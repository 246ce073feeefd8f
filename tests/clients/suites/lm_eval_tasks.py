"""EleutherAI's lm-eval, which ends the conversation with the words that the answer begins with."""

import json
import os

import lm_eval
import pytest
from lm_eval.tasks import TaskManager

TASK = """
task: capitals
dataset_path: json
dataset_kwargs:
  data_files: {data}
test_split: train
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
gen_prefix: "{prefix}"
generation_kwargs:
  until: ["###"]
metric_list:
  - metric: exact_match
"""


@pytest.mark.parametrize("prefix", ["", "The answer is"])
def test_task(tmp_path, monkeypatch, prefix):
    """A task's questions are answered, also where a prefix begins each answer."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"question": "[[say Paris]]", "answer": "Paris"}) + "\n")
    (tmp_path / "capitals.yaml").write_text(TASK.format(data=data, prefix=prefix))
    result = lm_eval.simple_evaluate(
        model="local-chat-completions",
        model_args={
            "model": os.environ["CLIENT_MODEL"],
            "base_url": f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
            "max_retries": 1,
        },
        tasks=["capitals"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    assert result["results"]["capitals"]["exact_match,none"] == 1
