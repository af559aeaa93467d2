#include "apps/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/augment.h"
#include "apps/device_choice.h"
#include "apps/interrupt.h"
#include "apps/losses.h"
#include "apps/over_time.h"
#include "apps/progress.h"
#include "apps/run_folder.h"
#include "engine/checkpoint.h"
#include "engine/transfer.h"

namespace etude::apps {

namespace {

// During training a song is validated on at most this many windows: a long song would otherwise
// cost more to validate than the whole epoch to train. The final evaluation uses all of them.
constexpr int validation_windows = 8;

// Files are written through to the disk, which takes as long as several steps of a small network.
// An epoch that ends sooner than this after they were written leaves it to a later one: a crash
// then costs so many seconds.
constexpr double seconds_between_saves = 3;

std::unique_ptr<Optimizer> make_optimizer(const TrainConfig& c, const Module& model) {
  if (*c.optimizer == "sgd")
    return std::make_unique<Sgd>(model,
                                 SgdOptions{.lr = *c.lr,
                                            .momentum = c.momentum,
                                            .weight_decay = *c.weight_decay,
                                            .nesterov = c.nesterov},
                                 false);
  return std::make_unique<Adamw>(
      model,
      AdamwOptions{
          .lr = *c.lr, .beta1 = *c.beta1, .beta2 = *c.beta2, .weight_decay = *c.weight_decay},
      false);
}

Schedule make_schedule(const TrainConfig& c, Index steps_per_epoch) {
  Schedule s;
  s.kind = *c.schedule == "onecycle" ? Schedule::one_cycle
           : *c.schedule == "cosine" ? Schedule::cosine
           : *c.schedule == "step"   ? Schedule::step
                                     : Schedule::constant;
  s.total_steps = steps_per_epoch * (*c.epochs / c.cycles);
  s.warmup_steps = std::lround(c.warmup * static_cast<double>(steps_per_epoch));
  s.step_every =
      std::max<Index>(1, std::lround(c.step_every * static_cast<double>(steps_per_epoch)));
  s.gamma = c.gamma;
  s.pct_start = *c.lr_peak;
  s.div_factor = *c.lr / *c.lr_start;
  s.final_div_factor = *c.lr_start / *c.lr_end;
  return s;
}

// n / (classes * count): every class has the same total weight.
Tensor balanced_weights(const TrainJob& job) {
  const int classes = job.spec.task.outputs();
  std::vector<float> weights(classes, 0);
  for (int item : job.split.train) ++weights[job.spec.task.label(job.dataset.items[item])];
  for (float& w : weights)
    if (w > 0) w = static_cast<float>(job.split.train.size()) / (static_cast<float>(classes) * w);
  return Tensor::from(weights, {classes}, job.device);
}

int longest(const data::FeatureSet& features, const std::vector<int>& items) {
  int width = 0;
  for (int item : items) width = std::max(width, features.items[item].width);
  return width;
}

void load_initial_weights(const TrainConfig& c, const std::string& model_name, Module& model) {
  const std::string head = models::head_prefix(model_name, c.task == "va-dynamic");
  try {
    load_state(c.init, model.state(), {.reset_prefix = c.reset_head ? head : "", .sum_stem = true});
  } catch (const Error& e) {
    const std::string message = e.what();
    if (c.reset_head || message.find(head + "weight is") == std::string::npos) throw;
    fail("{}; with --reset-head the last layer stays as initialised", message);
  }
}

// A regression begins with the training part's mean for an answer: from 0, which is an end of the
// scale, the first steps would go into getting there.
void answer_the_mean(const TrainJob& job, Module& model) {
  const std::string name = models::head_prefix(job.spec.model, job.spec.task.dynamic()) +
                           (job.spec.task.dynamic() ? "fc.bias" : "bias");
  const Baseline mean = fit_baseline(job.dataset, job.spec.task, job.split.train);
  for (StateEntry& entry : model.state()) {
    if (entry.name != name) continue;
    entry.tensor.data<float>()[0] = static_cast<float>(mean.valence);
    entry.tensor.data<float>()[1] = static_cast<float>(mean.arousal);
  }
}

// While alive, the model has its moving average for weights, where there is one.
class AveragedWeights {
 public:
  explicit AveragedWeights(std::optional<Ema>& ema) : ema_(ema) {
    if (ema_) ema_->swap();
  }
  ~AveragedWeights() {
    if (ema_) ema_->swap();
  }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  std::optional<Ema>& ema_;
};

}  // namespace

Trainer::Trainer(const TrainJob& job) : job_(job) {
  const TrainConfig& c = job_.config;
  model_ = models::make_model(job_.spec.model, job_.spec.options);
  if (job_.spec.task.regression()) answer_the_mean(job_, *model_);
  if (!c.init.empty()) load_initial_weights(c, job_.spec.model, *model_);
  model_->to(job_.device);
  optimizer_ = make_optimizer(c, *model_);
  if (c.ema > 0) ema_.emplace(*model_, c.ema);

  const int n = static_cast<int>(job_.split.train.size());
  check(n > 1, "train: the training part has {} item(s); at least 2 are needed", n);
  data::LoaderOptions options;
  options.batch_size = std::min(*c.batch, n);
  options.width = *c.width;
  options.training = true;
  options.device = job_.device;
  options.drop_last = true;  // a batch of one has no batch statistics
  options.seed = static_cast<std::uint64_t>(c.seed);
  options.steps = static_cast<int>(job_.spec.task.dynamic() ? job_.spec.options.steps : 0);
  options.grid = job_.spec.grid();
  options.weights = job_.weights;
  Augmenter(parse_augment(*c.augment), job_.spec.mel).install(options);
  train_ = std::make_unique<data::Loader>(job_.dataset, job_.features, job_.spec.statistics,
                                          job_.spec.task, job_.split.train, options);
  if (!job_.split.val.empty()) {
    options.training = false;
    options.drop_last = false;
    options.augment = nullptr;
    options.weights.clear();
    options.tempo = options.mixup = 0;
    options.window_step = job_.spec.window_step;
    if (!job_.spec.task.dynamic())
      options.window_step = std::max(options.window_step,
                                     longest(job_.features, job_.split.val) / validation_windows);
    val_ = std::make_unique<data::Loader>(job_.dataset, job_.features, job_.spec.statistics,
                                          job_.spec.task, job_.split.val, options);
  }
  schedule_ = make_schedule(c, (train_->batches() + c.accumulate - 1) / c.accumulate);
  cross_entropy_.label_smoothing = *c.label_smoothing;
  if (c.class_weights == "balanced" && !job_.spec.task.regression())
    cross_entropy_.class_weights = balanced_weights(job_);
}

TrainingState Trainer::state() {
  return {*model_, *optimizer_, ema_ ? &*ema_ : nullptr, progress_};
}

void Trainer::restore() {
  const std::string now = where_it_runs(job_.device);
  const std::string before = load_training_state(RunFolder(job_.folder).state(), state());
  if (before != now)
    note(
        fmt::format("warning: the run was saved on {} and goes on on {}; it will not be bit for "
                    "bit what an uninterrupted run gives",
                    before, now));
  // Epochs that were recorded but not saved will be run and recorded again.
  truncate_metrics(RunFolder(job_.folder).metrics(), progress_.epoch);
}

Tensor Trainer::loss(const data::Batch& batch, const Tensor& outputs) const {
  if (job_.spec.task.regression()) return regression_loss(*job_.config.loss, outputs, batch);
  const Tensor own = cross_entropy(outputs, batch.labels, cross_entropy_);
  if (!batch.other_labels.defined()) return own;
  return add(scale(own, batch.mix),
             scale(cross_entropy(outputs, batch.other_labels, cross_entropy_), 1 - batch.mix));
}

double Trainer::rate(Index step) const {
  const Index at = job_.config.cycles > 1 ? step % schedule_.total_steps : step;
  return *job_.config.lr * schedule_.factor(at);
}

void Trainer::optimizer_step() {
  const Range range(job_.device, "optimizer");
  if (job_.config.clip_grad > 0) optimizer_->clip_gradients(job_.config.clip_grad);
  optimizer_->set_lr(rate(progress_.step));
  optimizer_->step();
  optimizer_->zero_grad();
  if (ema_) ema_->update();
  ++progress_.step;
}

bool Trainer::must_stop() const {
  return interrupted() || (job_.config.max_steps > 0 && progress_.step >= job_.config.max_steps);
}

// What a batch gave. It is looked at while the device works on the next one, so that neither waits
// for the other.
struct Trainer::StepResult {
  Download loss, outputs;
  std::vector<int> items;
  Index step = 0;
  double lr = 0;
};

void Trainer::account_for(const StepResult& result) {
  if (result.items.empty()) return;
  const double value = result.loss.item();
  check(std::isfinite(value),
        "train: the loss became {} at epoch {}, step {} (learning rate {:.3g}); try a lower --lr, "
        "--clip-grad 1, or a longer --warmup. What was saved before stays in {}",
        value, progress_.epoch + 1, result.step, result.lr, job_.folder.string());
  const auto n = static_cast<Index>(result.items.size());
  progress_.loss_sum += value * static_cast<double>(n);
  progress_.samples += n;
  if (job_.spec.task.regression()) return;
  const std::vector<float> logits = result.outputs.get<float>();
  const int classes = job_.spec.task.outputs();
  for (Index i = 0; i < n; ++i) {
    const float* row = logits.data() + i * classes;
    progress_.correct += std::max_element(row, row + classes) - row ==
                         job_.spec.task.label(job_.dataset.items[result.items[i]]);
  }
}

bool Trainer::train_epoch() {
  const int batches = train_->batches(), accumulate = job_.config.accumulate;
  ProgressBar bar(
      fmt::format("{}epoch {}/{}", job_.label, progress_.epoch + 1, *job_.config.epochs), batches,
      "batches");
  const double seconds_before = progress_.seconds;
  const auto start = Clock::now();
  model_->train(true);
  optimizer_->zero_grad();
  train_->start_epoch(progress_.epoch);
  data::Batch batch;
  const auto next_batch = [&] {
    const Range range(job_.device, "load");
    return train_->next(batch);
  };
  for (int skipped = 0; skipped < progress_.batch; ++skipped) next_batch();
  StepResult last;  // not yet accounted for
  while (progress_.batch < batches && next_batch()) {
    const int first_of_group = progress_.batch / accumulate * accumulate;
    const int group = std::min(accumulate, batches - first_of_group);
    StepResult now{{}, {}, batch.items, progress_.step + 1, optimizer_->lr()};
    Tensor mean_loss;
    {
      const Range range(job_.device, "forward");
      const Tensor outputs = (*model_)(batch.x);
      mean_loss = loss(batch, outputs);
      now.loss = Download(mean_loss);
      now.outputs = Download(outputs);
    }
    backward(mean_loss, 1.0 / group);
    ++progress_.batch;
    const bool step = progress_.batch - first_of_group == group;
    if (step) optimizer_step();
    account_for(std::exchange(last, std::move(now)));
    if (step && must_stop()) break;
    if (progress_.samples > 0)
      bar.update(
          progress_.batch,
          fmt::format("loss {:.4f}", progress_.loss_sum / static_cast<double>(progress_.samples)));
  }
  account_for(last);
  progress_.seconds = seconds_before + seconds_since(start);
  return progress_.batch == batches;
}

void Trainer::save_weights(const std::filesystem::path& path) {
  const AveragedWeights averaged(ema_);
  save_state(path, model_->state(), spec_metadata(job_.spec));
}

void Trainer::save_state_file() {
  save_training_state(RunFolder(job_.folder).state(), state(), where_it_runs(job_.device));
  saved_ = Clock::now();
}

void Trainer::finish_epoch() {
  const RunFolder folder(job_.folder);
  const auto start = Clock::now();
  EpochRecord record;
  record.epoch = progress_.epoch + 1;
  record.loss = progress_.loss_sum / static_cast<double>(progress_.samples);
  record.lr = rate(progress_.step - 1);
  const bool classification = !job_.spec.task.regression();
  if (classification)
    record.accuracy =
        static_cast<double>(progress_.correct) / static_cast<double>(progress_.samples);
  if (val_) {
    const Range range(job_.device, "validation");
    const AveragedWeights averaged(ema_);
    const std::string label = job_.label + "validation";
    if (job_.spec.task.dynamic()) {
      record.val_loss =
          loss_over_time(*job_.config.loss, run_over_time(*model_, *val_, label), job_.dataset);
    } else {
      const Predictions predictions = run_model(*model_, *val_, label);
      record.val_loss = mean_loss(predictions, job_.dataset, job_.spec.task, *job_.config.loss);
      if (classification)
        record.val_accuracy = mean_accuracy(predictions, job_.dataset, job_.spec.task);
    }
  }
  const double judged_loss = record.val_loss.value_or(record.loss);
  check(std::isfinite(judged_loss),
        "train: the validation loss became {} in epoch {}; try a lower --lr or --clip-grad 1. What "
        "was saved before stays in {}",
        judged_loss, record.epoch, job_.folder.string());
  const bool by_accuracy = classification && *job_.config.monitor == "accuracy";
  const double monitored = by_accuracy && val_ ? -*record.val_accuracy : judged_loss;
  // Without a validation part there is nothing to judge by: the last weights are the best.
  const bool better =
      !val_ || !progress_.best ||
      std::pair(monitored, judged_loss) < std::pair(*progress_.best, progress_.best_loss);

  progress_.seconds += seconds_since(start);
  record.seconds = progress_.seconds;
  record.best = better;
  ++progress_.epoch;
  progress_.batch = 0;
  progress_.loss_sum = progress_.seconds = 0;
  progress_.samples = progress_.correct = 0;
  if (better) {
    progress_.best = monitored;
    progress_.best_loss = judged_loss;
    progress_.best_epoch = progress_.epoch;
  }
  const int patience = *job_.config.patience;
  const bool stopped_early = patience > 0 && progress_.epoch - progress_.best_epoch >= patience;
  progress_.done = progress_.epoch >= *job_.config.epochs || stopped_early;

  // The state comes last: a crash before it repeats the epochs since it, and overwrites the rest.
  const bool save = progress_.done || !saved_ || seconds_since(*saved_) > seconds_between_saves;
  if (save) save_weights(folder.last());
  if (better && (save || val_)) save_weights(folder.best());
  const int cycle = *job_.config.epochs / job_.config.cycles;
  if (job_.config.cycles > 1 && progress_.epoch % cycle == 0)
    save_weights(folder.snapshot(progress_.epoch / cycle));
  append_metrics(folder.metrics(), record);
  if (events_) events_->write(record);
  if (save) save_state_file();
  note(job_.label + to_line(record, *job_.config.epochs));
  if (stopped_early && progress_.epoch < *job_.config.epochs)
    note(fmt::format("{}no improvement for {} epochs: stopped (--patience)", job_.label, patience));
}

Trainer::Outcome Trainer::run() {
  if (job_.config.tensorboard && !progress_.done) events_.emplace(job_.folder);
  while (!progress_.done) {
    const bool complete = train_epoch();
    try {
      if (complete && !interrupted()) finish_epoch();
    } catch (const Interrupted&) {
      // Within validation: the epoch is saved as trained, and validated after the resume.
    }
    if (interrupted()) {
      save_weights(RunFolder(job_.folder).last());
      save_state_file();
      note(
          fmt::format("interrupted after step {}; saved. Go on with: etude train --resume --out {}",
                      progress_.step, job_.resume.string()));
      throw Interrupted{};
    }
    if (!progress_.done && must_stop()) {
      save_weights(RunFolder(job_.folder).last());
      save_state_file();
      return Outcome::step_limit;
    }
  }
  return Outcome::finished;
}

}  // namespace etude::apps
