"""Colab without Colab: `stand_in` builds what it needs, `check_colab` runs the notebooks there."""
