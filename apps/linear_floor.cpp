#include "apps/linear_floor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/checkpoint.h"
#include "engine/layers.h"
#include "engine/optimizer.h"

namespace etude::apps {

namespace {

constexpr int steps = 600, steps_between_checks = 10;
// Few weights need few samples; 50,000 images would cost half a minute for the same floor.
constexpr std::size_t most_items = 8192;
constexpr int context_steps = 10;  // five seconds
constexpr double learning_rate = 0.01, weight_decay = 0.1;

// Mean and population deviation of every band over the frames [begin, end): [2 height].
std::vector<float> statistics(const data::Features& song, int begin, int end) {
  std::vector<float> result(2 * static_cast<std::size_t>(song.height));
  const int n = end - begin;
  for (int band = 0; band < song.height; ++band) {
    const float* row = song.values.data() + static_cast<std::size_t>(band) * song.width + begin;
    double sum = 0, squares = 0;
    for (int f = 0; f < n; ++f) sum += row[f];
    const double mean = sum / n;
    for (int f = 0; f < n; ++f) squares += (row[f] - mean) * (row[f] - mean);
    result[band] = static_cast<float>(mean);
    result[song.height + band] = static_cast<float>(std::sqrt(squares / n));
  }
  return result;
}

// At most `most_items` of them, evenly spread.
template <class T>
std::vector<T> some_of(const std::vector<T>& all) {
  if (all.size() <= most_items) return all;
  std::vector<T> some;
  for (std::size_t i = 0; i < most_items; ++i) some.push_back(all[i * all.size() / most_items]);
  return some;
}

// Labels or targets, as the loss takes them.
struct Truth {
  Tensor labels, targets;
};

template <class Rows>
Truth truth_of(const data::Dataset& dataset, const data::Task& task, const Rows& rows) {
  const auto n = static_cast<Index>(rows.size());
  if (task.regression()) {
    std::vector<float> values;
    for (const auto& row : rows) {
      const data::Item& item = dataset.items[row.item];
      data::Affect affect;
      if (row.step < 0) {
        affect = *item.affect;
      } else {
        for (std::size_t i = 0; i < item.dynamic.seconds.size(); ++i)
          if (data::step_at(item.dynamic.seconds[i]) == row.step)
            affect = {item.dynamic.valence[i], item.dynamic.arousal[i]};
      }
      values.push_back(static_cast<float>(affect.valence));
      values.push_back(static_cast<float>(affect.arousal));
    }
    return {{}, Tensor::from(values, {n, 2})};
  }
  std::vector<std::int64_t> labels;
  for (const auto& row : rows) labels.push_back(task.label(dataset.items[row.item]));
  return {Tensor::from(labels, {n}), {}};
}

Tensor loss_of(const Tensor& outputs, const Truth& truth) {
  return truth.targets.defined() ? mse_loss(outputs, truth.targets)
                                 : cross_entropy(outputs, truth.labels);
}

}  // namespace

std::vector<LinearFloor::Row> LinearFloor::rows_of(const data::Dataset& dataset,
                                                   const data::FeatureSet& features,
                                                   const data::Task& task,
                                                   const std::vector<int>& items,
                                                   const data::StepGrid& grid) {
  std::vector<Row> rows;
  for (const int item : items) {
    if (!task.dynamic()) {
      rows.push_back({item, -1});
      continue;
    }
    const int steps = grid.steps(features.items[item].frames());
    for (const double seconds : dataset.items[item].dynamic.seconds)
      if (const int step = data::step_at(seconds); step >= 0 && step < steps)
        rows.push_back({item, step});
  }
  return rows;
}

std::vector<float> LinearFloor::standardised(const data::FeatureSet& features,
                                             const std::vector<Row>& rows,
                                             const data::StepGrid& grid) const {
  std::vector<float> values;
  for (const Row& one : rows) {
    const data::Features& song = features.items[one.item];
    int begin = 0, end = song.width;
    if (one.step >= 0) {
      end = std::min(song.width, grid.frames(one.step + 1));
      begin = std::clamp(grid.frames(one.step + 1 - context_steps), 0, end - 1);
    }
    std::vector<float> row = statistics(song, begin, end);
    check(row.size() == mean_.size(), "linear floor: made for {} bands, item has {}",
          mean_.size() / 2, row.size() / 2);
    for (std::size_t k = 0; k < row.size(); ++k)
      values.push_back((row[k] - mean_[k]) / deviation_[k]);
  }
  return values;
}

LinearFloor LinearFloor::fit(const data::Dataset& dataset, const data::FeatureSet& features,
                             const data::Task& task, const data::Split& split,
                             const data::StepGrid& grid) {
  check(!split.train.empty(), "linear floor: the training part is empty");
  const std::vector<Row> train = some_of(rows_of(dataset, features, task, split.train, grid));
  const std::vector<Row> val = some_of(rows_of(dataset, features, task, split.val, grid));
  check(!train.empty(), "linear floor: the training part has no annotation within its audio");
  const auto n = static_cast<Index>(train.size());
  const Index inputs = 2 * features.items[train.front().item].height;

  LinearFloor floor;
  floor.mean_.assign(inputs, 0);
  floor.deviation_.assign(inputs, 1);
  const std::vector<float> raw = floor.standardised(features, train, grid);
  for (Index k = 0; k < inputs; ++k) {
    double sum = 0, squares = 0;
    for (Index i = 0; i < n; ++i) sum += raw[i * inputs + k];
    const double mean = sum / static_cast<double>(n);
    for (Index i = 0; i < n; ++i) squares += std::pow(raw[i * inputs + k] - mean, 2);
    floor.mean_[k] = static_cast<float>(mean);
    floor.deviation_[k] = static_cast<float>(std::sqrt(squares / static_cast<double>(n)) + 1e-5);
  }

  Generator generator(0);
  Linear layer(inputs, task.outputs(), true, generator);
  Adamw optimizer(layer, {.lr = learning_rate, .weight_decay = weight_decay}, false);
  const Tensor x = Tensor::from(floor.standardised(features, train, grid), {n, inputs});
  const Truth truth = truth_of(dataset, task, train);
  Tensor x_val;
  Truth truth_val;
  if (!val.empty()) {
    x_val = Tensor::from(floor.standardised(features, val, grid),
                         {static_cast<Index>(val.size()), inputs});
    truth_val = truth_of(dataset, task, val);
  }
  double best = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= steps; ++step) {
    optimizer.zero_grad();
    backward(loss_of(layer(x), truth));
    optimizer.step();
    if (step % steps_between_checks != 0) continue;
    const NoGrad no_grad;
    const double value = x_val.defined() ? loss_of(layer(x_val), truth_val).item() : -step;
    if (value >= best) continue;
    best = value;
    floor.weight_ = layer.weight.detach().clone();
    floor.bias_ = layer.bias.detach().clone();
  }
  check(floor.weight_.defined(), "linear floor: the loss is not finite; are the features?");
  return floor;
}

std::vector<float> LinearFloor::answers(const data::FeatureSet& features,
                                        const std::vector<Row>& rows,
                                        const data::StepGrid& grid) const {
  const NoGrad no_grad;
  const Tensor x = Tensor::from(standardised(features, rows, grid),
                                {static_cast<Index>(rows.size()), weight_.dim(1)});
  return linear(x, weight_, bias_).to_vector<float>();
}

Predictions LinearFloor::predict(const data::FeatureSet& features,
                                 const std::vector<int>& items) const {
  std::vector<Row> rows;
  for (const int item : items) rows.push_back({item, -1});
  const std::vector<float> values = answers(features, rows, {});
  Predictions result;
  result.outputs = static_cast<int>(weight_.dim(0));
  result.items = items;
  result.song_outputs.assign(values.begin(), values.end());
  result.window_outputs = result.song_outputs;
  for (std::size_t i = 0; i < items.size(); ++i) result.window_song.push_back(static_cast<int>(i));
  return result;
}

std::vector<Curve> LinearFloor::predict_over_time(const data::FeatureSet& features,
                                                  const std::vector<int>& items,
                                                  const data::StepGrid& grid) const {
  std::vector<Curve> curves;
  for (const int item : items) {
    std::vector<Row> rows;
    const int steps = grid.steps(features.items[item].frames());
    for (int step = 0; step < steps; ++step) rows.push_back({item, step});
    const std::vector<float> values = answers(features, rows, grid);
    Curve curve{item, {}, {}};
    for (int step = 0; step < steps; ++step) {
      curve.valence.push_back(values[2 * step]);
      curve.arousal.push_back(values[2 * step + 1]);
    }
    curves.push_back(std::move(curve));
  }
  return curves;
}

void LinearFloor::save(const std::filesystem::path& path) const {
  const auto inputs = static_cast<Index>(mean_.size());
  write_safetensors(path, {{"weight", weight_},
                           {"bias", bias_},
                           {"mean", Tensor::from(mean_, {inputs})},
                           {"deviation", Tensor::from(deviation_, {inputs})}});
}

LinearFloor LinearFloor::load(const std::filesystem::path& path) {
  std::map<std::string, Tensor> by_name;
  for (const auto& [name, tensor] : read_safetensors(path).tensors) by_name[name] = tensor;
  for (const char* name : {"weight", "bias", "mean", "deviation"})
    check(by_name.count(name) == 1, "{}: `{}` is missing", path.string(), name);
  LinearFloor floor;
  floor.weight_ = by_name["weight"];
  floor.bias_ = by_name["bias"];
  floor.mean_ = by_name["mean"].to_vector<float>();
  floor.deviation_ = by_name["deviation"].to_vector<float>();
  return floor;
}

}  // namespace etude::apps
