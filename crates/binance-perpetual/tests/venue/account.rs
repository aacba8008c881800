//! Positions, margin and settings: D/account/rest-api, D/trade/rest-api.

use connector_core::dialect::Method::{Get, Post};
use connector_core::order::Side;
use serde_json::{Value, json as value};

use crate::{Client, START, names, number, sorted};

// A capture of 2024-11-18 (Appendix L.1 of our notes): a buy of 0.002 at 91739.90, closed at 90853.20, with fees of 0.05 %.
#[test]
fn a_position_from_open_to_close_as_captured() {
    let mut client = Client::new();
    client.mark("91722.35");
    client.hold(Side::Buy, "91739.9", "0.002");
    let held = client.done(Get, "/fapi/v3/positionRisk?symbol=BTCUSDT");
    assert_eq!(
        names(&held[0]),
        sorted(
            "symbol positionSide positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice
            isolatedMargin notional marginAsset isolatedWallet initialMargin maintMargin positionInitialMargin
            openOrderInitialMargin adl bidNotional askNotional updateTime"
        )
    );
    assert_eq!(
        [
            &held[0]["positionSide"],
            &held[0]["positionAmt"],
            &held[0]["entryPrice"],
            &held[0]["breakEvenPrice"]
        ],
        ["BOTH", "0.002", "91739.9", "91785.76995"]
    );
    assert_eq!(
        [&held[0]["unRealizedProfit"], &held[0]["notional"], &held[0]["liquidationPrice"]],
        ["-0.0351", "183.4447", "0"]
    );
    client.mark("90853.2");
    client.hold(Side::Sell, "90853.2", "0.002");
    assert_eq!(client.done(Get, "/fapi/v3/positionRisk"), value!([]));
    let balances = client.done(Get, "/fapi/v3/balance");
    let dollars = balances.as_array().unwrap().iter().find(|row| row["asset"] == "USDT").unwrap();
    let left = number("100000") - number("0.0917399") - number("1.7734") - number("0.0908532");
    assert_eq!(dollars["balance"], left.normalize().to_string());
    assert_eq!(
        names(dollars),
        sorted(
            "accountAlias asset balance crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount marginAvailable
            updateTime"
        )
    );
    let incomes = client.done(Get, "/fapi/v1/income?symbol=BTCUSDT");
    let told: Vec<[&Value; 3]> = incomes
        .as_array()
        .unwrap()
        .iter()
        .map(|row| [&row["incomeType"], &row["income"], &row["tradeId"]])
        .collect();
    assert_eq!(
        told,
        [
            ["COMMISSION", "-0.0917399", "1"],
            ["REALIZED_PNL", "-1.7734", "2"],
            ["COMMISSION", "-0.0908532", "2"]
        ]
    );
    assert_eq!(names(&incomes[0]), sorted("symbol incomeType income asset info time tranId tradeId"));
}

#[test]
fn accounts_in_both_versions() {
    let mut client = Client::new();
    client.hold(Side::Buy, "61837", "0.1");
    client.order("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.1&price=60000");
    let account = client.done(Get, "/fapi/v3/account");
    assert_eq!(
        names(&account),
        sorted(
            "totalInitialMargin totalMaintMargin totalWalletBalance totalUnrealizedProfit totalMarginBalance
            totalPositionInitialMargin totalOpenOrderInitialMargin totalCrossWalletBalance totalCrossUnPnl
            availableBalance maxWithdrawAmount assets positions"
        )
    );
    assert_eq!(
        names(&account["assets"][0]),
        sorted(
            "asset walletBalance unrealizedProfit marginBalance maintMargin initialMargin positionInitialMargin
            openOrderInitialMargin crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount updateTime"
        )
    );
    assert_eq!(
        names(&account["positions"][0]),
        sorted(
            "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional isolatedWallet initialMargin
            maintMargin updateTime"
        )
    );
    // 0.1 × 61837 ÷ 20, and 0.1 × 60000 ÷ 20.
    assert_eq!(
        [&account["totalPositionInitialMargin"], &account["totalOpenOrderInitialMargin"]],
        ["309.185", "300"]
    );
    assert_eq!(account["totalMaintMargin"], "24.7348");
    let older = client.done(Get, "/fapi/v2/account");
    assert_eq!(older["positions"].as_array().unwrap().len(), 7);
    let bitcoin =
        older["positions"].as_array().unwrap().iter().find(|row| row["symbol"] == "BTCUSDT").unwrap();
    assert_eq!(
        [&bitcoin["leverage"], &bitcoin["maxNotional"], &bitcoin["positionAmt"]],
        ["20", "100000000", "0.1"]
    );
    assert_eq!((&bitcoin["isolated"], &older["canTrade"]), (&value!(false), &value!(true)));
    let risk = client.done(Get, "/fapi/v2/positionRisk?symbol=BTCUSDT");
    assert_eq!([&risk[0]["marginType"], &risk[0]["leverage"]], ["cross", "20"]);
    assert_eq!(client.done(Get, "/fapi/v2/balance"), client.done(Get, "/fapi/v3/balance"));
    let configuration = client.done(Get, "/fapi/v1/accountConfig");
    assert_eq!(
        configuration,
        value!({"feeTier":0,"canTrade":true,"canDeposit":true,"canWithdraw":true,"dualSidePosition":false,
            "updateTime":0,"multiAssetsMargin":false,"tradeGroupId":-1})
    );
    let ranks = client.done(Get, "/fapi/v1/adlQuantile");
    assert_eq!(ranks, value!([{"symbol":"BTCUSDT","adlQuantile":{"LONG":0,"SHORT":0,"BOTH":4}}]));
}

#[test]
fn leverage_brackets_and_fees() {
    let mut client = Client::new();
    let set = client.done(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=21");
    assert_eq!(set, value!({"leverage":21,"maxNotionalValue":"70000000","symbol":"BTCUSDT"}));
    // To set what is set already is no error.
    assert_eq!(client.done(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=21"), set);
    for wrong in ["0", "126"] {
        let refused = client.refused(Post, &format!("/fapi/v1/leverage?symbol=BTCUSDT&leverage={wrong}"));
        assert_eq!(refused, (-4028, format!("Leverage {wrong} is not valid")));
    }
    assert_eq!(
        client.done(Get, "/fapi/v1/symbolConfig?symbol=BTCUSDT"),
        value!([{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":21,
            "maxNotionalValue":"70000000"}])
    );
    let brackets = client.done(Get, "/fapi/v1/leverageBracket?symbol=BTCUSDT");
    assert_eq!(
        brackets["brackets"][1],
        value!({"bracket":2,"initialLeverage":100,"notionalCap":800_000,"notionalFloor":300_000,
            "maintMarginRatio":0.005,"cum":300})
    );
    assert_eq!(client.done(Get, "/fapi/v1/leverageBracket").as_array().unwrap().len(), 7);
    assert_eq!(
        client.done(Get, "/fapi/v1/commissionRate?symbol=BTCUSDT"),
        value!({"symbol":"BTCUSDT","makerCommissionRate":"0.0002","takerCommissionRate":"0.0005",
            "rpiCommissionRate":"0.0002"})
    );
    client.hold(Side::Buy, "61837", "10");
    let too_large = client.refused(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=125");
    assert_eq!(too_large, (-2027, "Exceeded the maximum allowable position at current leverage.".to_owned()));
    let too_dear = client.refused(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=5");
    assert_eq!(
        too_dear,
        (-2028, "Leverage is smaller than permitted: insufficient margin balance.".to_owned())
    );
}

#[test]
fn modes_and_what_stands_against_them() {
    let mut client = Client::new();
    let success = value!({"code": 200, "msg": "success"});
    let sides = |dual: bool| format!("/fapi/v1/positionSide/dual?dualSidePosition={dual}");
    let margin = |word: &str| format!("/fapi/v1/marginType?symbol=BTCUSDT&marginType={word}");
    assert_eq!(client.refused(Post, &sides(false)), (-4059, "No need to change position side.".to_owned()));
    assert_eq!(
        client.refused(Post, &margin("CROSSED")),
        (-4046, "No need to change margin type.".to_owned())
    );
    client.order("side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000");
    assert_eq!(
        (client.refused(Post, &sides(true)).0, client.refused(Post, &margin("ISOLATED")).0),
        (-4067, -4047)
    );
    client.done(connector_core::dialect::Method::Delete, "/fapi/v1/allOpenOrders?symbol=BTCUSDT");
    client.hold(Side::Buy, "61837", "0.01");
    assert_eq!(
        (client.refused(Post, &sides(true)).0, client.refused(Post, &margin("ISOLATED")).0),
        (-4068, -4048)
    );
    client.hold(Side::Sell, "61837", "0.01");
    assert_eq!(client.done(Post, &sides(true)), success);
    assert_eq!(client.done(Get, "/fapi/v1/positionSide/dual"), value!({"dualSidePosition": true}));
    assert_eq!(client.done(Post, &margin("ISOLATED")), success);
    let several = "/fapi/v1/multiAssetsMargin?multiAssetsMargin";
    assert_eq!(client.refused(Post, &format!("{several}=true")).0, -4167);
    assert_eq!(client.done(Post, &margin("CROSSED")), success);
    assert_eq!(client.refused(Post, &format!("{several}=false")).0, -4171);
    assert_eq!(client.done(Post, &format!("{several}=true")), success);
    assert_eq!(client.done(Get, "/fapi/v1/multiAssetsMargin"), value!({"multiAssetsMargin": true}));
    assert_eq!(client.refused(Post, &margin("ISOLATED")).0, -4168);
    assert_eq!(client.done(Get, "/fapi/v1/feeBurn"), value!({"feeBurn": false}));
    assert_eq!(client.done(Post, "/fapi/v1/feeBurn?feeBurn=false"), success);
}

#[test]
fn both_legs_of_a_hedged_position() {
    let mut client = Client::new();
    client.done(Post, "/fapi/v1/positionSide/dual?dualSidePosition=true");
    let order = |rest: &str| format!("/fapi/v1/order?symbol=BTCUSDT&type=MARKET&{rest}");
    assert_eq!(client.refused(Post, &order("side=BUY&quantity=0.1")).0, -4061);
    let both = client.refused(Post, &order("side=SELL&quantity=0.1&positionSide=LONG&reduceOnly=true"));
    assert_eq!(both, (-1106, "Parameter 'reduceonly' sent when not required.".to_owned()));
    client.offer(Side::Sell, "61840", "0.1");
    client.offer(Side::Buy, "61830", "0.2");
    client.done(Post, &order("side=BUY&quantity=0.1&positionSide=LONG"));
    client.done(Post, &order("side=SELL&quantity=0.2&positionSide=SHORT"));
    let held = client.done(Get, "/fapi/v3/positionRisk");
    let legs: Vec<[&Value; 3]> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|row| [&row["positionSide"], &row["positionAmt"], &row["entryPrice"]])
        .collect();
    assert_eq!(legs, [["LONG", "0.1", "61840"], ["SHORT", "-0.2", "61830"]]);
    let risk = client.done(Get, "/fapi/v2/positionRisk?symbol=BTCUSDT");
    let sides: Vec<&Value> = risk.as_array().unwrap().iter().map(|row| &row["positionSide"]).collect();
    assert_eq!(sides, ["LONG", "SHORT", "BOTH"]);
    // A leg is not closed beyond what it holds.
    assert_eq!(client.refused(Post, &order("side=SELL&quantity=0.3&positionSide=LONG")).0, -2022);
    let ranks = client.done(Get, "/fapi/v1/adlQuantile?symbol=BTCUSDT");
    assert_eq!(names(&ranks[0]["adlQuantile"]), ["HEDGE", "LONG", "SHORT"]);
}

// D/trade/rest-api/Modify-Isolated-Position-Margin
#[test]
fn isolated_margin() {
    let mut client = Client::new();
    let margin = |rest: &str| format!("/fapi/v1/positionMargin?symbol=BTCUSDT&{rest}");
    assert_eq!(client.refused(Post, &margin("amount=100&type=1")).0, -4054);
    client.done(Post, "/fapi/v1/marginType?symbol=BTCUSDT&marginType=ISOLATED");
    client.hold(Side::Buy, "61837", "0.1");
    let added = client.done(Post, &margin("amount=100&type=1"));
    assert_eq!(
        added,
        value!({"amount":100,"code":200,"msg":"Successfully modify position margin.","type":1})
    );
    let held = client.done(Get, "/fapi/v3/positionRisk?symbol=BTCUSDT");
    assert_eq!([&held[0]["isolatedWallet"], &held[0]["isolatedMargin"]], ["409.185", "409.185"]);
    let risk = client.done(Get, "/fapi/v2/positionRisk?symbol=BTCUSDT");
    assert_eq!(risk[0]["marginType"], "isolated");
    assert_eq!(client.refused(Post, &margin("amount=101&type=2")).0, -4051);
    assert_eq!(client.refused(Post, &margin("amount=1000000&type=1")).0, -4050);
    assert_eq!(client.refused(Post, &margin("amount=-1&type=1")).0, -1100);
    let lower = client.refused(Post, "/fapi/v1/leverage?symbol=BTCUSDT&leverage=10");
    assert_eq!(lower.0, -4161);
}

// D/account/rest-api/Get-Income-History, D/trade/rest-api/Users-Force-Orders
#[test]
fn funding_and_liquidation_leave_their_traces() {
    let mut client = Client::new();
    client.hold(Side::Buy, "61837", "20");
    client.wait(8 * 3_600_000);
    let paid = client.done(Get, "/fapi/v1/income?incomeType=FUNDING_FEE");
    assert_eq!(
        paid,
        value!([{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-123.674","asset":"USDT",
            "info":"FUNDING_FEE","time":paid[0]["time"],"tranId":paid[0]["tranId"],"tradeId":""}])
    );
    assert_eq!(paid[0]["time"].as_i64().unwrap() % (8 * 3_600_000), 0);
    let later = format!("/fapi/v1/income?incomeType=FUNDING_FEE&startTime={}", START + 9 * 3_600_000);
    assert_eq!(client.done(Get, &later), value!([]));
    client.mark("56900");
    let forced = client.done(Get, "/fapi/v1/forceOrders?autoCloseType=LIQUIDATION");
    assert_eq!(
        [&forced[0]["status"], &forced[0]["side"], &forced[0]["timeInForce"], &forced[0]["origQty"]],
        ["FILLED", "SELL", "IOC", "20"]
    );
    assert!(forced[0]["clientOrderId"].as_str().unwrap().starts_with("autoclose-"), "{forced}");
    assert_eq!(client.done(Get, "/fapi/v1/forceOrders?autoCloseType=ADL"), value!([]));
    assert_eq!(client.done(Get, "/fapi/v3/positionRisk"), value!([]));
}
