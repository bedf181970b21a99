"""Helper module for notebooks that answer the first sessions of a vision course.

Where to find what:
- what goes in: `data` (MNIST, photographs), `writers` (signs of whose hand it was), `patches`
  (windows cut from photographs), `letters` (pages of them), `filters` (fixed kernels);
- networks: `layers`, `activations` (the family, by name), `upsampling`, `models`, `blueprint`
  (of very few weights), `committee` (several as one), `network_plan` (one from a few numbers),
  `applications` (those of Keras), `folding` (without normalization), `costs` (weights, products);
- learning: `initialization`, `optimizers`, `training`, `distillation` (from a larger network),
  `training_watch`, `experiments` (one run from plain values), `records` (the record networks),
  `disturbances` (digits made harder), `clinic` (mistakes, and what tells them apart);
- many experiments: `sweep`, `sweep_spec` (what to run), `sweep_records`, `sweep_worker`,
  `sweep_process` (where a run happens), `sweep_plots`;
- what a pixel sees: `receptive_field`, and behind it `graph` (a model's calls), `fields` (the
  arithmetic), `windows`, `sights`, `layer_rules` (what each layer reads), `sources` (which input),
  `layer_table`, `field_measurement`; how strongly it sees: `effective_field`,
  `input_gradient`; how often a window visits a pixel: `coverage`;
- what kernels and channels look for: `kernel_statistics` (in numbers), `feature_visualization`,
  `image_parameters` (waves, colors), `trunk` (a trained VGG16);
- figures: `plots`, `activation_plots`, `channel_plots`, `coverage_plots`, `decision_plots`,
  `experiment_plots`, `feature_plots`, `field_plots`, `filter_plots`, `kernel_plots`,
  `network_plots`, `record_plots`, `training_plots`, `window_plots`;
- marking what others hand in: `submissions` (read safely), `grading`, and behind it
  `grading_source` (comments), `grading_flow` (where images and models go), `grading_score`,
  `grading_parameters`, `grading_honesty` (warnings), `grading_execution`, `grading_worker`,
  `grading_processes` (a run that leaves nothing behind);
- running notebooks: `notebooks`, `notebook_selection` (which ones), `notebook_process`,
  `notebook_execution`, `notebook_kernels` (where one runs), `notebook_fingerprint` (what need not
  run again), `notebook_outputs`, `notebook_report`;
- publishing: `colab` (the address), `claims` (what the course says, and the cell that checks it);
- files and processes: `files`, `results`, `toml_files`, `pictures`, `devices`, `task_process`
  (ends with its parent);
- the command line: `cli`.

Import it before Keras: it tells TensorFlow to keep its start-up messages to itself, which would
otherwise stand as red boxes in a notebook's stored outputs. A value that is already set is kept.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
