"""Translation of answers and questions, sentence by sentence; each text once, originals kept."""

from univar.translate.engines import load_translator
from univar.translate.files import TranslationReport, translate_file

__all__ = ["TranslationReport", "load_translator", "translate_file"]
