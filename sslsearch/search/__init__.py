"""Study, sampler, scheduler, slots, confirm: the only rooms that know Ray and Optuna."""
