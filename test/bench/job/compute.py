# A job that computes: trees and a linear model on the digits data set, which scikit-learn ships.
import sys

from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x / 16, y, random_state=0)
for model in (
    GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=0),
    RandomForestClassifier(n_estimators=600, random_state=0),
    LogisticRegression(max_iter=300),
):
    accuracy = model.fit(x_train, y_train).score(x_test, y_test)
    print(type(model).__name__, accuracy)
    if accuracy < 0.9:
        sys.exit("it has learned nothing")
