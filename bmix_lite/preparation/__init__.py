"""From a folder, a table, an npz or boxes to a prepared dataset, with every fault in a report.

prepare calls the steps in turn; each step has a file:
    listing, table, paths, voc, medmnist    which images there are, and their labels
    decode       opens one file, and refuses a broken, cut or odd one
    cache        decodes all files once, in processes; what decode refuses is noted, and it goes on
    image_faults, class_faults              what is wrong with images, copies, groups and classes
    faults       the kinds of faults, their rules, and which of them stop a preparation
    report       all faults in a table, a JSON and a page
"""
