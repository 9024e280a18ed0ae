// All rules of optimizers. The kernels' tables and dispatch, on every device, are made from these lists.
#pragma once

#include "kernels/rules/adagrad.hpp"
#include "kernels/rules/adam.hpp"
#include "kernels/rules/adam_kin.hpp"
#include "kernels/rules/lion.hpp"
#include "kernels/rules/list.hpp"
#include "kernels/rules/rmsprop.hpp"
#include "kernels/rules/rowwise_adagrad.hpp"
#include "kernels/rules/sgd.hpp"

namespace embergrad::rules {

// What a gradient does.
using StepRules =
    RuleList<Sgd<false, false, Decay::none>, Sgd<false, false, Decay::coupled>, Sgd<false, false, Decay::decoupled>,
             Sgd<true, false, Decay::none>, Sgd<true, false, Decay::coupled>, Sgd<true, false, Decay::decoupled>,
             Sgd<true, true, Decay::none>, Sgd<true, true, Decay::coupled>, Sgd<true, true, Decay::decoupled>,
             Adam<Decay::none, false>, Adam<Decay::coupled, false>, Adam<Decay::decoupled, false>,
             Adam<Decay::none, true>, Adam<Decay::coupled, true>, Adam<Decay::decoupled, true>,  //
             Nadam<Decay::none>, Nadam<Decay::coupled>, Nadam<Decay::decoupled>,                 //
             RawAdam<Decay::none>, RawAdam<Decay::coupled>, RawAdam<Decay::decoupled>,           //
             Adamax<false>, Adamax<true>, Adagrad<false>, Adagrad<true>, Lion,                   //
             Rmsprop<false, false, false>, Rmsprop<false, false, true>,                          //
             Rmsprop<false, true, false>, Rmsprop<false, true, true>,                            //
             Rmsprop<true, false, false>, Rmsprop<true, false, true>,                            //
             Rmsprop<true, true, false>, Rmsprop<true, true, true>,                              //
             RowwiseAdagrad<false>, RowwiseAdagrad<true>>;

// Whether a rule is one of whole rows.
template <class Rule>
inline constexpr bool is_by_row = requires {
  Rule::by_row;
};

// What time does.
using IdleRules = RuleList<LinearIdle, AdamIdle<false>, AdamIdle<true>, LionIdle, RmspropIdle>;

}  // namespace embergrad::rules
