// Will this user like this item? Three embeddings, averaged, a small network on top, and the AUC on what was held out.
#include <embergrad/embergrad.hpp>
#include <embergrad/text/csv.hpp>
#include <embergrad/text/metrics.hpp>
#include <embergrad/text/vocabulary.hpp>

#include <algorithm>
#include <iostream>
#include <vector>

namespace eg = embergrad;

struct Recommender : eg::nn::Module {
  eg::nn::Embedding user, item, genre;
  eg::nn::Sequential mlp{eg::nn::Linear(16, 32), [](const eg::Tensor& x) { return eg::relu(x); },
                         eg::nn::Linear(32, 1)};

  Recommender(int64_t users, int64_t items, int64_t genres) : user(users, 16), item(items, 16), genre(genres, 16) {}

  void members(eg::nn::Visitor& visit) override {
    visit("user", user);
    visit("item", item);
    visit("genre", genre);
    visit("mlp", mlp);
  }
  eg::Tensor forward(const std::vector<eg::Tensor>& ids, int64_t start, int64_t length) {
    const auto rows = [&](std::size_t column) { return eg::narrow(ids[column], 0, start, length); };
    return mlp((user(rows(0)) + item(rows(1)) + genre(rows(2))) / 3.0).reshape({length});
  }
};

int main() {
  const auto ratings = eg::text::read_csv("ratings.csv", {.columns = {"user", "item", "genre", "liked"}});
  const auto liked = eg::tensor(ratings.numbers("liked")).to(eg::DType::float32);
  std::vector<eg::text::Vocabulary> names;
  std::vector<eg::Tensor> ids;
  for (const char* column : {"user", "item", "genre"}) {
    names.push_back(eg::text::Vocabulary::of_words(ratings.texts(column)));
    ids.push_back(eg::tensor(names.back().ids(ratings.texts(column))));
  }
  const int64_t train = ratings.size() * 4 / 5;
  const int64_t held_out = ratings.size() - train;

  eg::manual_seed(1);
  Recommender model(names[0].size(), names[1].size(), names[2].size());
  eg::optim::Adam optimizer(model.parameters(), {.lr = 1e-2});
  for (int epoch = 1; epoch <= 10; ++epoch) {
    for (int64_t start = 0; start < train; start += 64) {
      const int64_t length = std::min<int64_t>(64, train - start);
      const auto logits = model.forward(ids, start, length);
      const auto loss = eg::binary_cross_entropy_with_logits(logits, eg::narrow(liked, 0, start, length));
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
    }
  }
  const auto scores = eg::no_grad([&] { return model.forward(ids, train, held_out); });
  std::cout << "AUC " << eg::text::roc_auc(scores, eg::narrow(liked, 0, train, held_out)) << "\n";
}
