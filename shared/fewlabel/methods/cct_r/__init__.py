"""CCT-R: cross teaching with labels and positives that registration carries from patient to patient."""

from fewlabel.methods.cct_r.cct_r import CCTR
from fewlabel.methods.cct_r.registered_contrast import RegisteredContrast
from fewlabel.methods.cct_r.with_registration import WithRegistration

__all__ = ["CCTR", "RegisteredContrast", "WithRegistration"]
