#include "data/split.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "data/csv.h"
#include "data/files.h"
#include "engine/random.h"

namespace etude::data {
namespace {

// Items that stay together, and how many of each class they are.
struct Group {
  std::vector<int> items;
  std::map<int, int> classes;
};

enum Part { kTrain, kVal, kTest };
constexpr std::array<const char*, 3> kPartNames = {"train", "val", "test"};

int part_of(const std::string& name) {
  for (int part = 0; part < 3; ++part)
    if (name == kPartNames[part]) return part;
  return -1;
}

void check_column(const Dataset& dataset, const std::string& column) {
  std::set<std::string> columns;
  for (const Item& item : dataset.items)
    for (const auto& [name, value] : item.columns)
      if (!value.empty()) columns.insert(name);
  check(columns.contains(column), "split: no item of {} has a column \"{}\"; there are: {}",
        dataset.kind, column,
        columns.empty() ? "none"
                        : some_of(std::vector<std::string>(columns.begin(), columns.end()), 20));
}

std::string group_key(const Item& item, const std::string& column) {
  if (!column.empty())
    if (const auto found = item.columns.find(column);
        found != item.columns.end() && !found->second.empty())
      return "=" + found->second;
  return item.id;  // no id begins with "="
}

int label_of(const std::vector<int>& labels, int item) { return labels.empty() ? 0 : labels[item]; }

// Groups in the order in which their first items stand.
std::vector<Group> make_groups(const Dataset& dataset, const std::vector<int>& items,
                               const std::vector<int>& labels, const std::string& column) {
  std::map<std::string, std::size_t> index;
  std::vector<Group> groups;
  for (const int item : items) {
    const auto [entry, fresh] =
        index.try_emplace(group_key(dataset.items[item], column), groups.size());
    if (fresh) groups.emplace_back();
    Group& group = groups[entry->second];
    group.items.push_back(item);
    ++group.classes[label_of(labels, item)];
  }
  return groups;
}

// Gives every group a bin so that each holds close to its fraction of all items and of each class.
//
// Groups come in random order, large ones first; each goes where it adds least to
//   sum over bins b and classes c of (have(b,c) - fraction(b) seen(c))^2, plus the same for totals,
// `seen` being what was handed out so far. Expanded, only the group's own classes matter:
// minimise sum_c g_c (have(b,c) - fraction(b) seen(c)). (The idea of balancing as one goes is
// minimisation in clinical trials: Pocock and Simon, Biometrics 31, 1975.)
std::vector<int> assign(const std::vector<Group>& groups, const std::vector<double>& fractions,
                        Generator random) {
  std::vector<std::size_t> order(groups.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  random.shuffle(order.begin(), order.end());
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return groups[a].items.size() > groups[b].items.size();
  });

  const int bins = static_cast<int>(fractions.size());
  std::vector<std::map<int, double>> have(bins);
  std::vector<double> total(bins, 0);
  std::vector<int> count(bins, 0);
  std::map<int, double> seen;
  double seen_total = 0;
  std::vector<int> bin_of(groups.size(), 0);
  for (const std::size_t g : order) {
    const Group& group = groups[g];
    const auto size = static_cast<double>(group.items.size());
    for (const auto& [label, n] : group.classes) seen[label] += n;
    seen_total += size;
    int best = -1;
    double best_cost = 0;
    for (int bin = 0; bin < bins; ++bin) {
      if (fractions[bin] <= 0) continue;
      double cost = size * (total[bin] - fractions[bin] * seen_total);
      for (const auto& [label, n] : group.classes)
        cost += n * (have[bin][label] - fractions[bin] * seen[label]);
      if (best < 0 || cost < best_cost) {
        best = bin;
        best_cost = cost;
      }
    }
    bin_of[g] = best;
    for (const auto& [label, n] : group.classes) have[best][label] += n;
    total[best] += size;
    ++count[best];
  }

  // With few groups a small part may have come away empty: it gets the smallest group of the part
  // that has most of them.
  for (int bin = 0; bin < bins; ++bin) {
    if (fractions[bin] <= 0 || count[bin] > 0) continue;
    const int donor =
        static_cast<int>(std::max_element(count.begin(), count.end()) - count.begin());
    for (auto g = order.rbegin(); g != order.rend(); ++g) {
      if (bin_of[*g] != donor) continue;
      bin_of[*g] = bin;
      --count[donor];
      ++count[bin];
      break;
    }
  }
  return bin_of;
}

void sort_parts(Split& split) {
  for (auto* part : {&split.train, &split.val, &split.test}) std::sort(part->begin(), part->end());
}

std::vector<int>& part(Split& split, int which) {
  return which == kTrain ? split.train : which == kVal ? split.val : split.test;
}

// Divides items among parts; every part that is wanted gets at least one group.
void divide(const Dataset& dataset, const std::vector<int>& items, const std::vector<int>& labels,
            const std::string& column, const std::vector<double>& fractions, Generator random,
            Split& split) {
  if (items.empty()) return;
  const std::vector<Group> groups = make_groups(dataset, items, labels, column);
  const auto wanted = std::count_if(fractions.begin(), fractions.end(),
                                    [](double fraction) { return fraction > 0; });
  check(static_cast<std::ptrdiff_t>(groups.size()) >= wanted,
        "split: {} {} cannot be divided into {} parts; give more data or set a fraction to 0",
        groups.size(), column.empty() ? "items" : "groups of column " + column, wanted);
  const std::vector<int> bins = assign(groups, fractions, random);
  for (std::size_t g = 0; g < groups.size(); ++g)
    part(split, bins[g])
        .insert(part(split, bins[g]).end(), groups[g].items.begin(), groups[g].items.end());
}

void check_options(const Dataset& dataset, const std::vector<int>& labels,
                   const SplitOptions& options) {
  check(labels.empty() || labels.size() == dataset.items.size(),
        "split: {} labels for {} items; expected one an item, or none", labels.size(),
        dataset.items.size());
  check(options.val_fraction >= 0 && options.test_fraction >= 0 &&
            options.val_fraction + options.test_fraction < 1,
        "split: fractions {} for val and {} for test; expected them not negative and less than 1 "
        "together",
        options.val_fraction, options.test_fraction);
  if (!options.group_by.empty()) check_column(dataset, options.group_by);
}

// Items that carry a split, and the free items of their groups.
std::vector<int> place_marked(const Dataset& dataset, const std::vector<int>& items,
                              const std::string& column, Split& split) {
  std::map<std::string, int> part_of_group;
  std::set<std::string> straddling;
  std::vector<int> unmarked, free;
  for (const int i : items) {
    const Item& item = dataset.items[i];
    if (item.split.empty()) {
      unmarked.push_back(i);
      continue;
    }
    const int which = part_of(item.split);
    check(which >= 0, "split: {} carries the split \"{}\"; expected train, val or test", item.id,
          item.split);
    part(split, which).push_back(i);
    const auto key = group_key(item, column);
    if (part_of_group.try_emplace(key, which).first->second != which) straddling.insert(key);
  }
  for (const int i : unmarked) {
    const std::string key = group_key(dataset.items[i], column);
    const auto found = part_of_group.find(key);
    if (found == part_of_group.end()) {
      free.push_back(i);
      continue;
    }
    check(
        !straddling.contains(key),
        "split: {} carries no split, and others of its group {} {} stand in several parts; give it "
        "one",
        dataset.items[i].id, column, key);
    part(split, found->second).push_back(i);
  }
  return free;
}

}  // namespace

Split make_split(const Dataset& dataset, const std::vector<int>& labels,
                 const SplitOptions& options) {
  check_options(dataset, labels, options);
  const Generator random(options.seed);
  Split split;
  if (!options.file.empty()) {
    split = read_split(options.file, dataset);
  } else {
    std::vector<int> items;
    for (int i = 0; i < static_cast<int>(dataset.items.size()); ++i)
      if (label_of(labels, i) >= 0) items.push_back(i);
    const std::vector<int> free = place_marked(dataset, items, options.group_by, split);
    divide(dataset, free, labels, options.group_by,
           {1 - options.val_fraction - options.test_fraction, options.val_fraction,
            options.test_fraction},
           random.fork(0), split);
  }
  if (split.val.empty() && options.val_fraction > 0) {
    const std::vector<int> whole = std::move(split.train);
    split.train.clear();
    divide(dataset, whole, labels, options.group_by,
           {1 - options.val_fraction, options.val_fraction}, random.fork(1), split);
  }
  check(!split.train.empty(), "split: no training items; expected some of the {} items in train",
        dataset.items.size());
  sort_parts(split);
  return split;
}

std::vector<std::vector<int>> make_folds(const Dataset& dataset, const std::vector<int>& labels,
                                         int k, const std::string& column,
                                         const SplitOptions& options) {
  check_options(dataset, labels, options);
  std::vector<int> items;
  for (int i = 0; i < static_cast<int>(dataset.items.size()); ++i)
    if (label_of(labels, i) >= 0) items.push_back(i);

  std::vector<std::vector<int>> folds;
  if (!column.empty()) {
    check_column(dataset, column);
    std::map<std::string, std::vector<int>, decltype(&natural_less)> by_value(&natural_less);
    for (const int i : items) {
      const auto found = dataset.items[i].columns.find(column);
      check(found != dataset.items[i].columns.end() && !found->second.empty(),
            "folds: {} has no value in column \"{}\"", dataset.items[i].id, column);
      by_value[found->second].push_back(i);
    }
    check(by_value.size() >= 2, "folds: column \"{}\" has one value only; expected at least 2",
          column);
    for (auto& [_, members] : by_value) folds.push_back(std::move(members));
    return folds;
  }

  check(k >= 2, "folds: {} folds; expected at least 2", k);
  const std::vector<Group> groups = make_groups(dataset, items, labels, options.group_by);
  check(static_cast<int>(groups.size()) >= k, "folds: {} {} cannot be divided into {} folds",
        groups.size(), options.group_by.empty() ? "items" : "groups of column " + options.group_by,
        k);
  const std::vector<int> bins =
      assign(groups, std::vector<double>(k, 1.0 / k), Generator(options.seed).fork(2));
  folds.resize(k);
  for (std::size_t g = 0; g < groups.size(); ++g)
    folds[bins[g]].insert(folds[bins[g]].end(), groups[g].items.begin(), groups[g].items.end());
  for (auto& fold : folds) std::sort(fold.begin(), fold.end());
  return folds;
}

void write_split(const std::filesystem::path& path, const Dataset& dataset, const Split& split) {
  std::vector<const char*> names(dataset.items.size(), "");
  for (const int i : split.train) names.at(i) = kPartNames[kTrain];
  for (const int i : split.val) names.at(i) = kPartNames[kVal];
  for (const int i : split.test) names.at(i) = kPartNames[kTest];
  std::string text = "id,split\n";
  for (std::size_t i = 0; i < names.size(); ++i)
    text += csv_field(dataset.items[i].id) + "," + names[i] + "\n";
  write_file(path, text);
}

Split read_split(const std::filesystem::path& path, const Dataset& dataset) {
  const Csv csv = Csv::read(path);
  const int id = csv.column("id"), split_column = csv.column("split");
  std::map<std::string, int> parts;
  for (int row = 0; row < csv.rows(); ++row) {
    const std::string& name = csv.text(row, split_column);
    const int which = part_of(name);
    check(which >= 0 || name.empty(), "{}: split is \"{}\"; expected train, val, test or nothing",
          csv.where(row), name);
    check(parts.try_emplace(csv.text(row, id), which).second, "{}: {} stands there twice",
          csv.where(row), csv.text(row, id));
  }
  Split split;
  std::vector<std::string> lacking;
  for (int i = 0; i < static_cast<int>(dataset.items.size()); ++i) {
    const auto found = parts.find(dataset.items[i].id);
    if (found == parts.end())
      lacking.push_back(dataset.items[i].id);
    else if (found->second >= 0)
      part(split, found->second).push_back(i);
  }
  check(lacking.empty(), "{}: lacks items of the data set: {}; is it another data set's split?",
        path.string(), some_of(lacking));
  return split;
}

std::optional<Split> read_moved_split(const std::filesystem::path& path, const Dataset& dataset) {
  const auto root_of = [](const std::string& id) { return id.substr(0, id.find('/')); };
  const auto note_root = [&](const std::string& id, std::vector<std::string>& roots) {
    if (std::find(roots.begin(), roots.end(), root_of(id)) == roots.end())
      roots.push_back(root_of(id));
  };
  std::vector<std::string> recorded, present;  // in the order of the roots
  const Csv csv = Csv::read(path);
  const int id = csv.column("id");
  for (int row = 0; row < csv.rows(); ++row) note_root(csv.text(row, id), recorded);
  for (const Item& item : dataset.items) note_root(item.id, present);
  if (dataset.kind != "folder" || recorded.size() != present.size()) return std::nullopt;
  Dataset renamed;
  for (const Item& item : dataset.items) {
    const auto at = std::find(present.begin(), present.end(), root_of(item.id)) - present.begin();
    renamed.items.emplace_back();
    renamed.items.back().id = recorded[at] + item.id.substr(present[at].size());
  }
  try {
    return read_split(path, renamed);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace etude::data
