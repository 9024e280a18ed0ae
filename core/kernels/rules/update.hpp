// All rules of optimizers. The kernels' tables and dispatch, on every device, are made from these lists.
#pragma once

#include "kernels/rules/adagrad.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/list.hpp"
#include "kernels/rules/sgd.hpp"

namespace embergrad::rules {

// What a gradient does.
using StepRules =
    RuleList<Sgd<false, false, Decay::none>, Sgd<false, false, Decay::coupled>, Sgd<false, false, Decay::decoupled>,
             Sgd<true, false, Decay::none>, Sgd<true, false, Decay::coupled>, Sgd<true, false, Decay::decoupled>,
             Sgd<true, true, Decay::none>, Sgd<true, true, Decay::coupled>, Sgd<true, true, Decay::decoupled>,
             Adam<Decay::none, false>, Adam<Decay::coupled, false>, Adam<Decay::decoupled, false>,
             Adam<Decay::none, true>, Adam<Decay::coupled, true>, Adam<Decay::decoupled, true>,  //
             Adagrad<false>, Adagrad<true>>;

// What time does.
using IdleRules = RuleList<LinearIdle, AdamIdle<false>, AdamIdle<true>>;

}  // namespace embergrad::rules
