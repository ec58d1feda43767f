"""Trains on the digits that scikit-learn ships, and reports what the job can see and do."""
import json
import os

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

digits = load_digits()
learn, test, learn_target, test_target = train_test_split(
    digits.data, digits.target, test_size=0.25, random_state=0
)
model = SVC(gamma=0.001, C=10).fit(learn, learn_target)
accuracy = model.score(test, test_target)
joblib.dump(model, "/out/model.joblib")


def can_write(path):
    try:
        with open(path, "w"):
            return True
    except OSError:
        return False


with open("/out/report.json", "w") as f:
    json.dump(
        {
            "accuracy": accuracy,
            "wrote_data": can_write("/data/new") or can_write("/data/train.py"),
            "host_home_visible": os.path.exists(os.environ["CANARY"]),
            "environment": sorted(os.environ),
        },
        f,
    )
print(f"accuracy {accuracy:.4f}")
