#include "data/loader.h"

#include <algorithm>
#include <future>
#include <utility>

#include "engine/transfer.h"

namespace etude::data {
namespace {

// Where a sample is cut from: in training the start is drawn.
struct Sample {
  int item = 0, start = 0;
};

// A batch on its way to the device.
struct Coming {
  Upload x, labels, targets;
  std::vector<int> items;
};

// Starts of the evaluation windows over `frames` frames (loader.h).
std::vector<int> window_starts(int frames, int width, int step) {
  std::vector<int> starts{0};
  while (starts.back() + step + width <= frames) starts.push_back(starts.back() + step);
  const int uncovered = frames - (starts.back() + width);
  if (2 * uncovered >= step) starts.push_back(frames - width);
  return starts;
}

}  // namespace

struct Loader::Impl {
  const Dataset& dataset;
  const FeatureSet& features;
  const Task task;
  const std::vector<int> items;
  const LoaderOptions options;
  std::vector<float> mean, factor;  // per band: (x - mean) factor
  int height = 0, width = 0;
  std::vector<Sample> windows;  // of the epoch
  Generator random;             // of the epoch
  bool started = false;
  int at = 0;                // the batch that next() gives
  std::future<Coming> ahead;  // that batch, where there is one
  Coming given;               // the batch that next() gave last: its copy may be under way still

  Impl(const Dataset& data, const FeatureSet& set, const BandStatistics& statistics, Task the_task,
       std::vector<int> which, LoaderOptions the_options)
      : dataset(data),
        features(set),
        task(std::move(the_task)),
        items(std::move(which)),
        options(std::move(the_options)) {
    check(options.batch_size > 0 && options.width >= 0 && options.window_step >= 0,
          "loader: batch size {}, width {}, window step {}; expected positive numbers",
          options.batch_size, options.width, options.window_step);
    check(!items.empty(), "loader: no items");
    check_items();
    width = options.width;
    if (width == 0)
      for (const Features& item : features.items) width = std::max(width, item.width);
    set_statistics(statistics);
    if (!options.training) plan_evaluation();
  }

  void check_items() {
    for (const int i : items) {
      const Features& item = features.items.at(i);
      const std::string& id = dataset.items.at(i).id;
      check(!item.values.empty(), "loader: {} has no features; prepare them first", id);
      check(height == 0 || item.height == height, "loader: {} has {} bands, the items before it {}",
            id, item.height, height);
      height = item.height;
      if (task.regression())
        check(dataset.items[i].affect.has_value(), "loader: {} has no valence and arousal", id);
      else
        check(task.label(dataset.items[i]) >= 0, "loader: {} has no label for task {}", id,
              to_string(task.kind));
    }
  }

  void set_statistics(const BandStatistics& statistics) {
    mean.assign(height, 0.0f);
    factor.assign(height, 1.0f);
    if (statistics.mean.empty()) return;
    check(static_cast<int>(statistics.mean.size()) == height &&
              statistics.deviation.size() == statistics.mean.size(),
          "loader: statistics of {} bands for features of {}", statistics.mean.size(), height);
    mean = statistics.mean;
    for (int band = 0; band < height; ++band)
      if (statistics.deviation[band] > 0) factor[band] = 1 / statistics.deviation[band];
  }

  void plan_evaluation() {
    const int step = options.window_step > 0 ? options.window_step : width;
    for (const int i : items)
      for (const int start : window_starts(features.items[i].frames(), width, step))
        windows.push_back({i, start});
  }

  void plan_training() {
    windows.clear();
    for (const int i : items) {
      const int room = features.items[i].frames() - width;
      Generator own = sample_stream(i);
      windows.push_back({i, room > 0 ? static_cast<int>(own.below(room + 1)) : 0});
    }
    Generator order = random;
    order.shuffle(windows.begin(), windows.end());
  }

  // Of one item in this epoch. Named by the item, not by its place in
  // the epoch, so that it does not depend on batch size or order.
  Generator sample_stream(int item) const { return random.fork(static_cast<std::uint64_t>(item)); }

  int samples() const { return static_cast<int>(options.training ? items.size() : windows.size()); }

  int batches() const {
    const int size = options.batch_size;
    return options.training && options.drop_last ? samples() / size : (samples() + size - 1) / size;
  }

  // Standardises the window into out [height, width].
  void cut(const Sample& window, float* out) const {
    const Features& item = features.items[window.item];
    const int filled = std::clamp(item.frames() - window.start, 0, width);
    const auto pad = static_cast<float>(options.pad_value);
    for (int band = 0; band < height; ++band) {
      const float* from = item.values.data() + std::size_t(band) * item.width + window.start;
      float* to = out + std::size_t(band) * width;
      const float m = mean[band], f = factor[band];
      for (int frame = 0; frame < filled; ++frame) to[frame] = (from[frame] - m) * f;
      std::fill(to + filled, to + width, pad);
    }
  }

  Coming make(int index) const {
    const int first = index * options.batch_size;
    const int n = std::min(options.batch_size, samples() - first);
    Tensor x = Tensor::host_for(options.device, {n, height, width, 1});
    Tensor labels, targets;
    Coming batch;
    for (int k = 0; k < n; ++k) {
      const Sample& window = windows[first + k];
      float* sample = x.data<float>() + std::size_t(k) * height * width;
      cut(window, sample);
      if (options.training && options.augment) {
        Generator own = sample_stream(window.item).fork(0);  // the crop used the stream itself
        options.augment(sample, height, width, own);
      }
      batch.items.push_back(window.item);
    }
    if (!task.regression()) {
      labels = Tensor::host_for(options.device, {n}, DType::i64);
      for (int k = 0; k < n; ++k)
        labels.data<std::int64_t>()[k] = task.label(dataset.items[batch.items[k]]);
    }
    if (std::all_of(batch.items.begin(), batch.items.end(),
                    [&](int item) { return dataset.items[item].affect.has_value(); })) {
      targets = Tensor::host_for(options.device, {n, 2});
      for (int k = 0; k < n; ++k) {
        const Affect& affect = *dataset.items[batch.items[k]].affect;
        targets.data<float>()[2 * k] = static_cast<float>(affect.valence);
        targets.data<float>()[2 * k + 1] = static_cast<float>(affect.arousal);
      }
    }
    batch.x = Upload(std::move(x), options.device);
    batch.labels = Upload(std::move(labels), options.device);
    batch.targets = Upload(std::move(targets), options.device);
    return batch;
  }

  void make_ahead() {
    if (at < batches())
      ahead = std::async(std::launch::async, [this, index = at] { return make(index); });
  }

  void start(int epoch) {
    if (ahead.valid()) ahead.wait();  // it reads the windows that are about to change
    ahead = {};
    started = true;
    at = 0;
    random = Generator(options.seed).fork(static_cast<std::uint64_t>(epoch));
    if (options.training) plan_training();
    make_ahead();
  }

  bool next(Batch& batch) {
    if (!started) start(0);
    if (at >= batches()) return false;
    check(ahead.valid(), "loader: the last batch failed; start an epoch");
    given = ahead.get();
    ++at;
    make_ahead();
    batch = {given.x.tensor(), given.labels.tensor(), given.targets.tensor(), given.items};
    return true;
  }
};

Loader::Loader(const Dataset& dataset, const FeatureSet& features, const BandStatistics& statistics,
               const Task& task, std::vector<int> items, LoaderOptions options)
    : impl_(std::make_unique<Impl>(dataset, features, statistics, task, std::move(items),
                                   std::move(options))) {}

Loader::~Loader() {
  if (impl_->ahead.valid()) impl_->ahead.wait();
}

void Loader::start_epoch(int epoch) { impl_->start(epoch); }
bool Loader::next(Batch& batch) { return impl_->next(batch); }
int Loader::batches() const { return impl_->batches(); }
int Loader::samples() const { return impl_->samples(); }
int Loader::width() const { return impl_->width; }

}  // namespace etude::data
