"""From a folder, a table, boxes, points or arrays to a prepared dataset, every fault in a report.

prepare calls the steps in turn; each step has a file:
    sources      which kind of source it is:
        listing, table, paths, voc, points, medmnist, arrays, pixels    its images and their labels
        leave_out, groups        what the user leaves out, and which images are of one patient
    decode       opens one file, and refuses a broken, cut or odd one
    cache        decodes all files once, in processes; what decode refuses is noted, and it goes on
    checks       every check in its order:
        companions               masks, previews, archives, the set once more
        image_faults, near_copies, sides, tones, class_faults     images, copies, depth, classes
    faults       the kinds of faults, their rules, and which of them stop a preparation
    report       all faults in a table, a JSON and a page

embed makes of a prepared dataset one of features: in shards, by a command; both folders are made
once, by one process.
"""
