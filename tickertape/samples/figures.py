"""Figures that add up: every total, margin and change is computed from the figures shown."""

from __future__ import annotations

import random


def figures(rng: random.Random, revenue: int, quarters: int, years: int) -> dict[str, str]:
    """Return a period's figures by name, as text.

    ``revenue`` is a usual quarter's in millions of dollars, ``quarters`` the period's length;
    ``years`` is how long the company has grown. Amounts are whole tenths of a million, so that
    what a reader adds up comes out.
    """
    sales = _part(rng, revenue * quarters * 10 * (1 + 0.04 * years), 0.85, 1.2)
    # The larger segment grows: the texts tell of it. The other one may not.
    a = _part(rng, sales, 0.52, 0.74)
    b = sales - a
    prior_a = _part(rng, a, 0.84, 0.98)
    prior_b = _part(rng, b, 0.85, 1.15)
    prior = prior_a + prior_b
    cost = _part(rng, sales, 0.52, 0.66)
    prior_cost = _part(rng, prior, 0.53, 0.67)
    selling = _part(rng, sales, 0.10, 0.15)
    research = _part(rng, sales, 0.03, 0.08)
    gross = sales - cost
    operating = gross - selling - research
    interest = _part(rng, sales, 0.005, 0.02)
    pretax = operating - interest
    tax = round(pretax * 0.21)
    net = pretax - tax
    prior_net = _part(rng, net, 0.75, 1.2)
    shares = _part(rng, revenue, 2.2, 4.5)  # tenths of a million
    cash_flow = _part(rng, net, 1.1, 1.7)
    capital = _part(rng, cash_flow, 0.25, 0.55)
    debt = _part(rng, sales, 0.8, 2.0)
    cash = _part(rng, debt, 0.3, 0.8)
    low = _part(rng, sales, 0.98, 1.05)
    high = low + _part(rng, sales, 0.02, 0.04)
    deal = _part(rng, sales, 0.3, 1.4)
    charge = _part(rng, sales, 0.01, 0.05)
    amounts = {
        "revenue": sales,
        "prior_revenue": prior,
        "a_revenue": a,
        "b_revenue": b,
        "gross_profit": gross,
        "selling": selling,
        "research": research,
        "operating": operating,
        "interest": interest,
        "tax": tax,
        "net": net,
        "prior_net": prior_net,
        "cash_flow": cash_flow,
        "capital": capital,
        "free_cash": cash_flow - capital,
        "debt": debt,
        "cash": cash,
        "net_debt": debt - cash,
        "low": low,
        "high": high,
        "deal": deal,
        "deal_sales": _part(rng, deal, 0.25, 0.6),
        "saving": _part(rng, charge, 0.6, 1.4),
        "charge": charge,
        "buyback": _part(rng, cash_flow, 0.5, 1.5),
    }
    text = {name: f"{tenths / 10:,.1f}" for name, tenths in amounts.items()}
    text |= {
        "revenue_moved": _moved(sales, prior),
        "revenue_change": _change(sales, prior),
        "a_moved": _moved(a, prior_a),
        "b_moved": _moved(b, prior_b),
        "net_moved": _moved(net, prior_net),
        "gross_margin": _percent(gross, sales),
        "prior_gross_margin": _percent(prior - prior_cost, prior),
        "operating_margin": _percent(operating, sales),
        "a_share": _percent(a, sales),
        "eps": f"{net / shares:.2f}",
        "prior_eps": f"{prior_net / shares:.2f}",
        "shares": f"{shares / 10:,.1f}",
        "dividend": f"{rng.randrange(4, 60) / 100:.2f}",
        "move": f"{rng.randrange(21, 148) / 10:.1f}%",
        "rate": f"{rng.randrange(460, 790) / 100:.2f}%",
        "margin_points": f"{rng.randrange(125, 275, 25)}",
        "customer_share": f"{rng.randrange(8, 24)}%",
        "input_change": f"{rng.randrange(3, 19)}%",
        "employees": f"{rng.randrange(900, 9800, 50):,}",
        "jobs": f"{rng.randrange(60, 480, 10):,}",
        "day": f"{rng.randrange(4, 20)}",
        "units": f"{rng.randrange(1_200, 48_000, 100):,}",
        "term": f"{rng.choice(('three', 'five', 'seven'))}",
    }
    return text


def _part(rng: random.Random, whole: float, low: float, high: float) -> int:
    return max(1, round(whole * rng.uniform(low, high)))


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"


def _change(now: int, before: int) -> str:
    return f"{abs(now / before - 1):.1%}"


def _moved(now: int, before: int) -> str:
    change = _change(now, before)
    if change == "0.0%":
        return "was unchanged"
    return f"{'rose' if now > before else 'fell'} {change}"
