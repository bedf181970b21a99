"""The recipe, experiments with it, and what can be watched while a network learns."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "best_networks": "PublishedResult PUBLISHED_RESULTS",
        "diagnostics": "TARGET PARAMETER_LIMIT Diagnosis predict accuracy layer_values "
        "DiagnosisTable",
        "ensembles": "ensemble",
        "experiments": "SCORED_ON VALIDATION_IMAGES Experiment experiment_from run_experiment "
        "experiment_record experiment_data",
        "optimizers": "SCHEDULES ConvolutionMuon WarmupDecay",
        "probes": "compile_classifier StartingPoint TrackedTraining track_training",
        "recipe": "OPTIMIZERS Recipe Run train initialize smooth_labels device "
        "versions EpochProgress",
        "scoring": "score loss_and_accuracy estimate_statistics steps_needed check_fit",
        "signals": "deep_network draw_kernels kernel_variance fans Signals measure_signals "
        "Prediction predict_signals activation_moments",
    },
)
