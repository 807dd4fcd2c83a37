"""The plot: who comes in, what they do while the market breaks, and how everybody gets out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from itertools import islice
from typing import Any

from keeper.core.types import AccountId, InstrumentId
from scripts import roles
from scripts.parameters import Parameters
from scripts.parameters.units import WAD, native, wad
from scripts.price_paths import PricePath
from scripts.story import endow
from scripts.story.cast import MAXIMUM, Backing, Leg, Role, cast
from scripts.story.keeper import Keeper
from scripts.story.stage import Stage, StoryError
from scripts.story.witness import Witness

TRADERS_USD = 2_000_000  # of each, more than anybody needs

EXECUTION_FEE = WAD // 4  # to whoever executes an order
SLIPPAGE = Decimal("0.02")  # what an opening order accepts beyond the price it saw
ACCOUNTS_LEAST = 60  # that must hold a position when the market opens
OPENING_BATCH = 24  # orders committed before the next price
SPECULATORS = 8  # accounts that come back after the fall
COME_BACK_AT = Decimal("0.6")  # of the path
COME_BACK_LONG = Decimal(3)  # leverage; every other one comes back short, with as much as
COME_BACK_SHORT = Decimal("0.7")  # this share of the highest leverage
PROFIT = Decimal("0.5")  # of margin: who takes profits halves the position then

# who pays with what: shares of the margin in cash, ether, bitcoin
_SHARES = {
    Backing.CASH: (Decimal(1), Decimal(0), Decimal(0)),
    Backing.ETHER: (Decimal("0.1"), Decimal("0.9"), Decimal(0)),
    Backing.BITCOIN: (Decimal("0.2"), Decimal(0), Decimal("0.8")),
    Backing.MIXED: (Decimal("0.4"), Decimal("0.3"), Decimal("0.3")),
    Backing.DEBT: (Decimal(0), Decimal("1.6"), Decimal(0)),  # and borrows 0.6 in cash
}
_DEBT_SHARE = Decimal("0.6")

Report = Callable[[str, int], None]  # what goes on, and how much of the work it finished


@dataclass(slots=True)
class Player:
    """A role on the stage, with its balance against the outside world."""

    role: Role
    wallet: Any
    account: AccountId
    margin: Decimal = Decimal(0)  # USD that counted at the start
    put_in: Decimal = Decimal(0)  # USD
    taken_out: Decimal = Decimal(0)  # USD
    came_back: bool = False
    took_profit: bool = False
    answered: int = 0  # calls

    @property
    def notional(self) -> Decimal:
        return sum((leg.notional for leg in self.role.legs), Decimal(0))


@dataclass(slots=True)
class Plot:
    """Plays one story on a stage."""

    stage: Stage
    keeper: Keeper
    witness: Witness
    terms: Parameters
    highest: Mapping[str, Decimal]  # leverage that each instrument allows
    path: PricePath
    report: Report
    players: list[Player] = field(default_factory=list)
    _salt: int = 0
    _calls_seen: int = 0

    # -- coming in

    def enter(self) -> None:
        """The pool gets its money, insurance its first, traders their tokens."""
        stage = self.stage
        stage.move(self.keeper, self.path.at(0), stage.now + 1)
        endow.ask(stage, self.terms)
        self.report("liquidity from three providers", 3)
        self._wait(self.terms.pool.request_delay_seconds)
        endow.claim(stage)
        self._equip_traders(cast(list(self.highest), self.highest))

    def _equip_traders(self, cast_of: Sequence[Role]) -> None:
        for number in sorted({role.wallet for role in cast_of}):
            trader = self.stage.trader(number)
            self.stage.mint(
                self.terms.settlement.symbol, trader, self._usdc(TRADERS_USD), ["Clearinghouse"]
            )
            for symbol in self.terms.collateral:
                self.stage.mint(symbol, trader, 0, ["Vault"])
        for role in cast_of:
            wallet = self.stage.trader(role.wallet)
            account = AccountId(self.stage.account(wallet, role.bucket))
            self.players.append(Player(role, wallet, account))

    def open(self) -> None:
        """Every account gets its margin, some borrow against it, and all open their positions."""
        for batch in _batches(self.players, OPENING_BATCH):
            self.stage.move(self.keeper, self.stage.prices, self.stage.now + 1)
            for player in batch:
                self._fund(player)
                for leg in player.role.legs:
                    order = self._order(player, leg.instrument, self._size(leg), slippage=SLIPPAGE)
                    self._top_up(player, self.stage.contracts["Lens"].preview_order(order))
                    self.stage.send("order_commit", "Orders", "commit", (order,), player.wallet)
                self.report(f"opening {player.role.name}: {player.role.plan}", 1)
            self._wait(self.terms.orders.delay_seconds)
        self.witness.look()
        opened = sum(bool(self.witness.index.accounts[p.account].book) for p in self.players)
        if opened < ACCOUNTS_LEAST:
            raise StoryError(f"only {opened} accounts could open; a story needs {ACCOUNTS_LEAST}")

    def _fund(self, player: Player) -> None:
        """Margin for the leverage that the role wants, in the tokens that it has."""
        if player.role.leverage == MAXIMUM:
            player.margin = self._missing(player, player.role.legs[0])
        else:
            player.margin = player.notional / player.role.leverage
        cash, ether, bitcoin = (player.margin * part for part in _SHARES[player.role.backing])
        first = not player.put_in
        if cash:
            self._deposit(player, cash, "deposit_first" if first else "deposit")
        for symbol, value in (("WETH", ether), ("WBTC", bitcoin)):
            if value:
                self._add_collateral(player, symbol, value)
        if player.role.backing is Backing.DEBT:
            self._withdraw(player, self._usdc(player.margin * _DEBT_SHARE), "")

    def _missing(self, player: Player, leg: Leg) -> Decimal:
        """What the lens says that an empty account lacks for this order, USD."""
        order = self._order(player, leg.instrument, self._size(leg))
        preview = self.stage.contracts["Lens"].preview_order(order)
        if preview["missing"] == 0:
            raise StoryError(f"{player.role.name}: {leg.instrument} asks for no margin")
        return (Decimal(preview["missing"]) / WAD).quantize(Decimal("0.01"), ROUND_UP)

    def _top_up(self, player: Player, preview: Mapping[str, Any]) -> None:
        """What margin asks beyond the plan: it has moved since the figures were drawn up."""
        if preview["missing"]:
            self._deposit(player, Decimal(preview["missing"]) / WAD + 1, "deposit")

    # -- the market moves

    def respond(self, progress: Decimal) -> None:
        """What people do after a price: bring margin, take profits, come back to the market."""
        self.witness.look()
        for player in self._newly_called():
            self._answer(player)
        orders = sum(self._take_profit(player) for player in self.players)
        if progress >= COME_BACK_AT:
            orders += sum(islice((self._come_back(player) for player in self._returning()), 1))
        if orders:
            self._wait(self.terms.orders.delay_seconds)

    def _newly_called(self) -> list[Player]:
        called = {account for _, account in self.witness.index.called[self._calls_seen :]}
        self._calls_seen = len(self.witness.index.called)
        return [player for player in self.players if player.account in called]

    def _answer(self, player: Player) -> None:
        """Bring what is missing to initial margin, once; a second call is not answered."""
        if not player.role.answers_calls or player.answered:
            return
        assessed = self.witness.assess(player.account)
        missing = assessed.plain_initial - assessed.equity
        if missing > 0:
            player.answered += 1
            self._deposit(player, Decimal(missing) / WAD + 1, "deposit")

    def _take_profit(self, player: Player) -> int:
        if not player.role.takes_profit or player.took_profit:
            return 0
        instrument = player.role.legs[0].instrument
        size = self._held(player, instrument)
        gain = self.witness.assess(player.account).equity - wad(player.margin)
        if size == 0 or gain < wad(player.margin * PROFIT):
            return 0
        player.took_profit = True
        self._commit(player, instrument, -size // 2, reduce_only=True)
        return 1

    def _returning(self) -> list[Player]:
        """Isolated accounts that were closed by force and may try again, in a fixed order."""
        back = sum(player.came_back for player in self.players)
        if back >= SPECULATORS:
            return []
        return [
            player
            for player in self.players
            if not player.role.cross
            and not player.came_back
            and not self.witness.index.accounts[player.account].book
            and player.account in {one.account for one in self.witness.index.seized}
        ]

    def _come_back(self, player: Player) -> int:
        """After the fall, with new money: some believe in a recovery, some in more of the same."""
        long = sum(one.came_back for one in self.players) % 2 == 0
        player.came_back = True
        leg = player.role.legs[0]
        leverage = COME_BACK_LONG if long else self.highest[leg.instrument] * COME_BACK_SHORT
        debt = Decimal(self.witness.index.accounts[player.account].debt) / WAD
        self._deposit(player, leg.notional / leverage + debt, "deposit")
        size = self._size(Leg(leg.instrument, long, leg.notional))
        order = self._order(player, leg.instrument, size, slippage=SLIPPAGE)
        preview = self.stage.contracts["Lens"].preview_order(order)
        if preview["refusal"]:
            return 0  # a deficit has stopped the instrument, say: the money goes home at the end
        self._top_up(player, preview)
        self.stage.send("order_commit", "Orders", "commit", (order,), player.wallet)
        return 1

    # -- getting out

    def leave_accounts(self) -> None:
        """Everybody closes, repays, takes collateral and cash home."""
        self._close_all()
        for player in self.players:
            self._repay(player)
            self._take_collateral(player)
            self._take_cash(player)
            self.report(f"{player.role.name} withdraws", 1)

    def leave_pool(self) -> None:
        """The providers redeem and claim."""
        pool = self.stage.contracts["LiquidityPool"]
        for place in roles.PROVIDERS:
            provider = self.stage.wallet(place)
            shares = pool.balanceOf(provider)
            arguments = (shares, provider, provider, 0)
            self.stage.send("pool_request", "LiquidityPool", "requestRedeem", arguments, provider)
        self.report("the providers leave", 3)
        self._wait(self.terms.pool.request_delay_seconds)
        for place in roles.PROVIDERS:
            provider = self.stage.wallet(place)
            ready = (pool.maxRedeem(provider), provider, provider)
            self.stage.send("", "LiquidityPool", "redeem", ready, provider)

    def leave_keeper(self) -> None:
        """Once it has stopped: its rewards, which are cash of its bucket 0."""
        wallet = self.stage.wallet(roles.KEEPER)
        account = AccountId(self.stage.account(wallet, 0))
        self.witness.look()
        amount = self._whole(self.witness.index.accounts[account].cash)
        if amount:
            self.stage.send("", "Clearinghouse", "withdraw", (account, amount, wallet), wallet)
        self.witness.look()

    def _close_all(self) -> None:
        """Reductions are always let through; a second round is for what a margin refused."""
        for _ in range(3):
            self.witness.look()
            open_books = [p for p in self.players if self.witness.index.accounts[p.account].book]
            if not open_books:
                return
            for batch in _batches(open_books, OPENING_BATCH):
                self.stage.move(self.keeper, self.stage.prices, self.stage.now + 1)
                self.witness.look()
                for player in batch:
                    for instrument in self.witness.index.accounts[player.account].book:
                        name = self._name(instrument)
                        size = self._held(player, name)
                        self._commit(player, name, -size, reduce_only=True)
                    self.report(f"{player.role.name} closes", 1)
                self._wait(self.terms.orders.delay_seconds)
        raise StoryError("positions stay open although everybody asked to close")

    def _repay(self, player: Player) -> None:
        debt = self.witness.index.accounts[player.account].debt
        if debt:  # and what interest has run up since it was last settled: the rest goes home
            paid = self._native_up(debt + debt // 1_000) + 10**6
            self._deposit(player, Decimal(paid) / 10**6, "deposit")

    def _take_collateral(self, player: Player) -> None:
        vault = self.stage.contracts["Vault"]
        for symbol, about in self.terms.collateral.items():
            token = self.stage.book.tokens[symbol]
            held = vault.held(player.account, token)
            if held:
                arguments = (player.account, token, held, player.wallet)
                self.stage.send("", "Vault", "withdraw", arguments, player.wallet)
                price = self.stage.prices[about.feed]
                player.taken_out += price * held / 10**about.decimals

    def _take_cash(self, player: Player) -> None:
        self.witness.look()
        amount = self._whole(self.witness.index.accounts[player.account].cash)
        if amount:
            self._withdraw(player, amount, "withdraw")

    # -- single acts

    def _deposit(self, player: Player, usd: Decimal, act: str) -> None:
        amount = self._usdc(usd.quantize(Decimal("0.000001"), ROUND_UP))
        arguments = (player.account, amount)
        self.stage.send(act, "Clearinghouse", "deposit", arguments, player.wallet)
        player.put_in += Decimal(amount) / 10**self.terms.settlement.decimals

    def _withdraw(self, player: Player, amount: int, act: str) -> None:
        arguments = (player.account, amount, player.wallet)
        self.stage.send(act, "Clearinghouse", "withdraw", arguments, player.wallet)
        player.taken_out += Decimal(amount) / 10**self.terms.settlement.decimals

    def _add_collateral(self, player: Player, symbol: str, counted: Decimal) -> None:
        """So much of a token that it counts for this many USD after its haircut."""
        about = self.terms.collateral[symbol]
        price = self.stage.prices[about.feed]
        worth = counted / (1 - about.haircut_percent / 100)
        amount = native(worth / price, about.decimals)
        self.stage.send("", symbol, "mint", (player.wallet, amount), player.wallet)
        arguments = (player.account, self.stage.book.tokens[symbol], amount)
        self.stage.send("", "Vault", "deposit", arguments, player.wallet)
        player.put_in += price * amount / 10**about.decimals

    def _size(self, leg: Leg) -> int:
        """Units for a notional at the present price, WAD, signed."""
        price = self.stage.prices[self.terms.instruments[leg.instrument].underlying]
        return wad(leg.notional / price) * (1 if leg.long else -1)

    def _order(
        self,
        player: Player,
        instrument: str,
        size: int,
        *,
        reduce_only: bool = False,
        slippage: Decimal = Decimal(0),
    ) -> tuple[Any, ...]:
        """An IOrders.Order; slippage 0 accepts any price."""
        self._salt += 1
        acceptable = 0
        if slippage:
            price = self.stage.prices[self.terms.instruments[instrument].underlying]
            acceptable = wad(price * (1 + slippage if size > 0 else 1 - slippage))
        number = self.stage.book.instruments[instrument]
        fee = 0 if reduce_only else EXECUTION_FEE  # who is short of margin can pay none to reduce
        return (player.account, number, size, acceptable, reduce_only, fee, self._salt, 0, 0, 0, 0)

    def _commit(self, player: Player, instrument: str, size: int, **how: Any) -> None:
        order = self._order(player, instrument, size, **how)
        self.stage.send("order_commit", "Orders", "commit", (order,), player.wallet)

    def _wait(self, seconds: int) -> None:
        """Time passes at an unchanged price; the keeper does what has fallen due."""
        self.stage.move(self.keeper, self.stage.prices, self.stage.now + seconds + 1)

    # -- reading

    def _held(self, player: Player, instrument: str) -> int:
        number = InstrumentId(self.stage.book.instruments[instrument])
        return self.witness.index.positions[player.account, number].size

    def _name(self, instrument: InstrumentId) -> str:
        return self.witness.book.instrument_name(instrument)

    def _usdc(self, usd: Decimal | int) -> int:
        return native(usd, self.terms.settlement.decimals)

    def _whole(self, cash: int) -> int:
        """Whole native units in WAD cash; 0 for a debt."""
        return max(0, cash) // self.witness.index.parameters.scale

    def _native_up(self, amount: int) -> int:
        return -(-amount // self.witness.index.parameters.scale)


def _batches(players: Iterable[Player], size: int) -> Iterator[list[Player]]:
    iterator = iter(players)
    while batch := list(islice(iterator, size)):
        yield batch
