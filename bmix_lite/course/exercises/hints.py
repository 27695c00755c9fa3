"""Hints of the exercises, in steps: where to look, how to begin, and last what the heart of it is."""

HINTS = {
    "mean_lam": [
        "The mean is the integral of t times the density of Beta(alpha, 1), from 0 to 1. Lesson 3 has P(lam < t).",
        "P(lam < t) = t**alpha, so the density is alpha * t**(alpha - 1). Multiply by t before you integrate.",
        "The integral of t**alpha from 0 to 1 is 1 / (alpha + 1). What stands before it? At alpha = 1 it is 1/2.",
    ],
    "image_weights": [
        "First the share that a class must get, then how many images share it.",
        "`np.bincount(labels)` counts the images of each class; indexing it with `labels` gives one number an image.",
        "All C classes get 1/C. An image of a class with n images gets the n-th part of that. Sum them: is it 1?",
    ],
    "draw_balanced": [
        "Two ways: draw a class and then one of its images, or draw images with the weights of the exercise before.",
        "`rng.choice` draws with given chances: see its arguments `size` and `p`. Draw with replacement.",
        "With `p` one weight per image and `size` the number of draws, one line is enough.",
    ],
    "balanced_mixup": [
        "Take the two pairs apart: x and y of the base batch, x and y of the balanced one.",
        "One weight for the balanced batch, what is left to 1 for the base batch. For images and for labels alike.",
        "Write it once for x, then copy the line for y. Do not use += : it changes the batch of the caller.",
    ],
    "mixed_shares": [
        "Which share does a class have in the base stream, and which in the balanced one?",
        "The expected share is a weighted mean of these two. Which weight has the balanced stream on average?",
        "That weight is E[lam] of exercise 11.4, not alpha. Divide the counts by their sum first.",
    ],
    "score_all": [
        "Ask the loader for 21 rows in batches of 8 and count what comes back.",
        "`len(rows) // batch_size` counts whole batches. What becomes of the others?",
        "`range(0, len(rows), batch_size)` gives where each batch begins; a slice may reach beyond the end.",
    ],
    "choose_alpha": [
        "Of 1,000 persons, how many are diseased, and how many are healthy? Each group can err in one way only.",
        "Misses: diseased * (1 - recall). False alarms: healthy * rate. Multiply each by its cost, for each alpha.",
        "Do it with the columns of validation. The columns of test are there to lead you into temptation.",
    ],
    "judge_seeds": [
        "Runs of one seed have the same initial weights and the same order of images: compare them pair by pair.",
        "Five differences b - a: their mean, and the t test that asks whether their true mean is 0.",
        "`scipy.stats.ttest_rel` is the paired t test, two-sided unless told otherwise.",
    ],
    "find_leaks": [
        "What must not lie on two sides? Not the photo, but whoever was photographed.",
        "Cut the name of the photo at the underscore; collect the sides of each patient in a set.",
        "A patient leaks whose set has more than one side. There are three sides, so three ways to leak.",
    ],
    "read_matrix": [
        "Rows are the truth. Accuracy: the diagonal over everything. Recall: the diagonal over its row.",
        "Balanced accuracy is the mean of the recalls. Kappa compares the disagreement with that of chance.",
        "Weights (i - j)**2; chance is row sum * column sum / all. Kappa = 1 - sum(w * found) / sum(w * chance).",
    ],
    "plan_sweep": [
        "List the settings first: which methods have an alpha, and which have none?",
        "Each setting is run once for each fold and each seed. Two runs go at a time.",
        "Which images may choose alpha, and which must not have been looked at when the number is reported?",
    ],
}

# what is worth knowing once the answer is right
REMARKS = {
    "mean_lam": "At alpha = 0.2 a sixth of all label mass comes from the balanced stream.",
    "image_weights": "Equal chances for classes are very unequal chances for images.",
    "draw_balanced": "Rare images come back many times: that is the price.",
    "balanced_mixup": "These two lines are the method of the paper.",
    "mixed_shares": "The rarest class moves towards 1/C by the share E[lam], and no further.",
    "score_all": "Every row is scored once, whatever the batch size.",
    "choose_alpha": "Other costs, another alpha: no metric alone could have told you.",
    "judge_seeds": "The unpaired test of the same numbers finds nothing: pairs remove what the seeds share.",
    "find_leaks": "No photo was on two sides, and still three patients were.",
    "read_matrix": "Accuracy is highest here because the commonest grade is the easiest.",
    "plan_sweep": "Say it before the first run: then nobody can choose the plan by its result.",
}
