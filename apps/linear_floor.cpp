#include "apps/linear_floor.h"

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
constexpr double learning_rate = 0.01, weight_decay = 0.1;

// Mean and population deviation of every band over the frames: [2 height].
std::vector<float> song_statistics(const data::Features& song) {
  std::vector<float> result(2 * static_cast<std::size_t>(song.height));
  for (int band = 0; band < song.height; ++band) {
    const float* row = song.values.data() + static_cast<std::size_t>(band) * song.width;
    double sum = 0, squares = 0;
    for (int f = 0; f < song.width; ++f) sum += row[f];
    const double mean = sum / song.width;
    for (int f = 0; f < song.width; ++f) squares += (row[f] - mean) * (row[f] - mean);
    result[band] = static_cast<float>(mean);
    result[song.height + band] = static_cast<float>(std::sqrt(squares / song.width));
  }
  return result;
}

// At most `most_items` of them, evenly spread.
std::vector<int> some_items(const std::vector<int>& items) {
  if (items.size() <= most_items) return items;
  std::vector<int> some;
  for (std::size_t i = 0; i < most_items; ++i) some.push_back(items[i * items.size() / most_items]);
  return some;
}

// Labels or targets of a part, as the loss takes them.
struct Truth {
  Tensor labels, targets;
};

Truth truth_of(const data::Dataset& dataset, const data::Task& task,
               const std::vector<int>& items) {
  const auto n = static_cast<Index>(items.size());
  if (task.regression()) {
    std::vector<float> values;
    for (int i : items) {
      values.push_back(static_cast<float>(dataset.items[i].affect->valence));
      values.push_back(static_cast<float>(dataset.items[i].affect->arousal));
    }
    return {{}, Tensor::from(values, {n, 2})};
  }
  std::vector<std::int64_t> labels;
  for (int i : items) labels.push_back(task.label(dataset.items[i]));
  return {Tensor::from(labels, {n}), {}};
}

Tensor loss_of(const Tensor& outputs, const Truth& truth) {
  return truth.targets.defined() ? mse_loss(outputs, truth.targets)
                                 : cross_entropy(outputs, truth.labels);
}

}  // namespace

std::vector<float> LinearFloor::standardised(const data::FeatureSet& features,
                                             const std::vector<int>& items) const {
  std::vector<float> rows;
  for (int item : items) {
    std::vector<float> row = song_statistics(features.items[item]);
    check(row.size() == mean_.size(), "linear floor: made for {} bands, item has {}",
          mean_.size() / 2, row.size() / 2);
    for (std::size_t k = 0; k < row.size(); ++k)
      rows.push_back((row[k] - mean_[k]) / deviation_[k]);
  }
  return rows;
}

LinearFloor LinearFloor::fit(const data::Dataset& dataset, const data::FeatureSet& features,
                             const data::Task& task, const data::Split& split) {
  check(!split.train.empty(), "linear floor: the training part is empty");
  const std::vector<int> train = some_items(split.train), val = some_items(split.val);
  const auto n = static_cast<Index>(train.size());
  const Index inputs = 2 * features.items[train.front()].height;

  LinearFloor floor;
  floor.mean_.assign(inputs, 0);
  floor.deviation_.assign(inputs, 1);
  const std::vector<float> raw = floor.standardised(features, train);
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
  const Tensor x = Tensor::from(floor.standardised(features, train), {n, inputs});
  const Truth truth = truth_of(dataset, task, train);
  Tensor x_val;
  Truth truth_val;
  if (!val.empty()) {
    x_val =
        Tensor::from(floor.standardised(features, val), {static_cast<Index>(val.size()), inputs});
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

Predictions LinearFloor::predict(const data::FeatureSet& features,
                                 const std::vector<int>& items) const {
  const NoGrad no_grad;
  const Tensor x = Tensor::from(standardised(features, items),
                                {static_cast<Index>(items.size()), weight_.dim(1)});
  const std::vector<float> values = linear(x, weight_, bias_).to_vector<float>();
  Predictions result;
  result.outputs = static_cast<int>(weight_.dim(0));
  result.items = items;
  result.song_outputs.assign(values.begin(), values.end());
  result.window_outputs = result.song_outputs;
  for (std::size_t i = 0; i < items.size(); ++i) result.window_song.push_back(static_cast<int>(i));
  return result;
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
