# A job that reads: a text classifier over many small files, each opened anew in every epoch, as data loaders do.
import os
import random
import sys

from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

names = sorted(os.path.join(top, f) for top, _, files in os.walk(sys.argv[1]) for f in files)
random.seed(0)
random.shuffle(names)
vectorizer = HashingVectorizer(n_features=2**12, alternate_sign=False)
model = SGDClassifier(random_state=0)


def batches(names, size=500):
    for i in range(0, len(names), size):
        texts = []
        for name in names[i : i + size]:
            with open(name) as f:
                texts.append(f.read())
        yield vectorizer.transform(texts), [os.path.basename(n)[0] for n in names[i : i + size]]


cut = len(names) * 9 // 10
for epoch in range(15):
    for x, y in batches(names[:cut]):
        model.partial_fit(x, y, classes=["a", "b"])
right = sum(sum(model.predict(x) == y) for x, y in batches(names[cut:]))
print(len(names), "files", right / (len(names) - cut))
if right < 0.9 * (len(names) - cut):
    sys.exit("it has learned nothing")
