"""Three hints per exercise: where to look, how to begin, and almost the answer."""

HINTS = {
    "mean_lam": [
        "The mean is the integral of t times the density of Beta(alpha, 1), from 0 to 1."
        " Lesson 3 has P(lam < t).",
        "P(lam < t) = t**alpha, so the density is alpha * t**(alpha - 1)."
        " Multiply by t before you integrate.",
        "The integral of t**alpha from 0 to 1 is 1 / (alpha + 1)."
        " Which factor comes before it? At alpha = 1 the mean is 1/2.",
    ],
    "image_weights": [
        "Start with the share that each class must get, then ask how many images divide it.",
        "`np.bincount(labels)` counts the images of each class;"
        " indexing it with `labels` gives one number per image.",
        "Each of the C classes gets 1/C, and its n images divide that equally."
        " Do all weights together sum to 1?",
    ],
    "draw_balanced": [
        "There are two ways: draw a class and then one of its images,"
        " or draw images with the weights of the previous exercise.",
        "`rng.choice` draws with given probabilities: see its arguments `size` and `p`."
        " Draw with replacement.",
        "With one weight per image as `p`, and the number of draws as `size`, one line is enough.",
    ],
    "balanced_mixup": [
        "Unpack the two pairs: x and y of the base batch, x and y of the balanced batch.",
        "One weight for the balanced batch, the rest up to 1 for the base batch;"
        " the same for images and labels.",
        "Write the line for x, then the same line for y."
        " Avoid `+=`: it changes the caller's batch.",
    ],
    "mixed_shares": [
        "What share does a class have in the base stream, and what share in the balanced stream?",
        "The expected share is a weighted mean of these two."
        " What weight does the balanced stream have on average?",
        "That weight is E[lam] from exercise 11.4, not alpha."
        " First divide the counts by their sum.",
    ],
    "score_all": [
        "Ask the loader for 21 rows in batches of 8, and count the rows that come back.",
        "`len(rows) // batch_size` counts full batches. What happens to the remaining rows?",
        "`range(0, len(rows), batch_size)` gives the start of each batch;"
        " a slice may extend past the end.",
    ],
    "choose_alpha": [
        "Of 1,000 people, how many are diseased, and how many are healthy?"
        " In each group only one kind of error is possible.",
        "Misses: diseased * (1 - recall). False alarms: healthy * rate."
        " Multiply each by its cost, for every alpha.",
        "Use the validation columns. The test columns are there to tempt you.",
    ],
    "judge_seeds": [
        "Runs with the same seed have the same initial weights and the same order of images:"
        " compare them in pairs.",
        "You have five differences b - a: their mean,"
        " and the t test that asks whether their true mean is 0.",
        "`scipy.stats.ttest_rel` is the paired t test; it is two-sided by default.",
    ],
    "find_leaks": [
        "What must not appear on two sides? Not the photo, but the patient.",
        "Split the name of each photo at the underscore;"
        " collect the sides of each patient in a set.",
        "A patient leaks if that set has more than one side."
        " There are three sides, so there are three ways to leak.",
    ],
    "read_matrix": [
        "Rows are the true grades. Accuracy: the diagonal over the total."
        " Recall: the diagonal over the sum of its row.",
        "Balanced accuracy is the mean of the recalls."
        " Kappa compares the disagreement with what chance would give.",
        "The weights are (i - j)**2, and chance is row sum * column sum / total."
        " Kappa = 1 - sum(weights * matrix) / sum(weights * chance).",
    ],
    "plan_sweep": [
        "First list the settings: which methods have an alpha, and which do not?",
        "Each setting runs once for each combination of split and seed. Two runs go in parallel.",
        "Which images may be used to choose alpha,"
        " and which must be unseen when you report the result?",
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
    "judge_seeds": (
        "The unpaired test of the same numbers finds nothing: pairs remove what the seeds share."
    ),
    "find_leaks": "No photo was on two sides, and still three patients were.",
    "read_matrix": "Accuracy is highest here because the commonest grade is the easiest.",
    "plan_sweep": "Say it before the first run: then nobody can choose the plan by its result.",
}
