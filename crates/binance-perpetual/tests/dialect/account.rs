//! Requests about listen keys, positions, leverage and funding, and their answers.

use binance_perpetual::BinancePerpetual;
use connector_core::Decimal;
use connector_core::dialect::{
    Dialect as _, FundingInfoRest, FundingPaymentsQuery, LeverageQuery, MarginModeQuery, PerpetualRest,
    PositionModeQuery, StreamKeyQuery,
};
use connector_core::message::Message;
use connector_core::position::{MarginMode, PositionMode};
use connector_core::time::UnixNanos;
use serde_json::json;

use crate::{answer, events, query};

fn perpetual() -> &'static PerpetualRest {
    BinancePerpetual::REST.perpetual.as_ref().unwrap()
}

// D/user-data-streams/Start-User-Data-Stream, Keepalive-User-Data-Stream
#[test]
fn listen_keys() {
    const KEY: &str = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1";
    let body = format!(r#"{{"listenKey":"{KEY}"}}"#);
    let found = answer("stream_key", &body).unwrap();
    let [Message::StreamKey(told)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(told.key, KEY);
    assert_eq!(events(Ok(found)), json!([{"event":"session","kind":"listen_key"}]));
    // Newer servers repeat the key, older ones say nothing.
    for body in [body.as_str(), "{}"] {
        assert_eq!(events(answer("keep_key", body)), json!([]));
    }
    assert!(answer("stream_key", "{}").is_err() && answer("keep_key", "[]").is_err());
    let rest = BinancePerpetual::REST.stream_key.as_ref().unwrap();
    assert_eq!(query(&rest.keep_alive, &StreamKeyQuery { key: KEY.into() }), "");
    assert!(rest.renewal < rest.lifetime);
}

// D/trade/rest-api/Position-Information-V3, one-way and hedge mode
#[test]
fn positions() {
    let ada = r#"{"symbol":"ADAUSDT","positionSide":"BOTH","positionAmt":"30","entryPrice":"0.385",
        "breakEvenPrice":"0.385077","markPrice":"0.41047590","unRealizedProfit":"0.76427700","liquidationPrice":"0",
        "isolatedMargin":"0","notional":"12.31427700","marginAsset":"USDT","isolatedWallet":"0",
        "initialMargin":"0.61571385","maintMargin":"0.08004280","positionInitialMargin":"0.61571385",
        "openOrderInitialMargin":"0","adl":2,"bidNotional":"0","askNotional":"0","updateTime":1720736417660}"#;
    let comp = r#"{"symbol":"COMPUSDT","positionSide":"SHORT","positionAmt":"-1.000","entryPrice":"70.92841",
        "breakEvenPrice":"70.900038636","markPrice":"49.72023376","unRealizedProfit":"21.20817624",
        "liquidationPrice":"2260.56757210","isolatedMargin":"0","notional":"-49.72023376","marginAsset":"USDT",
        "isolatedWallet":"0","initialMargin":"2.48601168","maintMargin":"0.49720233",
        "positionInitialMargin":"2.48601168","openOrderInitialMargin":"0","adl":2,"bidNotional":"0","askNotional":"0",
        "updateTime":1708943511656}"#;
    let orders_only =
        ada.replace("\"30\"", "\"0\"").replace("\"0.385\"", "\"0.0\"").replace("1720736417660", "0");
    let odd = ada.replace("BOTH", "UP");
    let found = events(answer("positions", &format!("[{ada},{comp},{orders_only},{odd}]")));
    assert_eq!(
        found[0],
        json!({"event":"position","pair":"ADA-USDT","side":"long","amount":"30","entry_price":"0.385",
            "unrealised_pnl":"0.764277","mark_price":"0.4104759","mode":"one_way",
            "time_ns":1_720_736_417_660_000_000_i64})
    );
    assert_eq!(
        found[1],
        json!({"event":"position","pair":"COMP-USDT","side":"short","amount":"1","entry_price":"70.92841",
            "unrealised_pnl":"21.20817624","mark_price":"49.72023376","mode":"hedge",
            "time_ns":1_708_943_511_656_000_000_i64})
    );
    assert_eq!((&found[2]["side"], &found[2]["amount"]), (&json!("both"), &json!("0")));
    assert_eq!((found[2].get("entry_price"), found[2].get("time_ns")), (None, None));
    assert!(found[3]["error"].as_str().unwrap().ends_with("(ADAUSDT)"), "{}", found[3]);
    let short = events(answer("positions", &format!("[{}]", ada.replace("\"30\"", "\"-30\""))));
    assert_eq!((&short[0]["side"], &short[0]["amount"]), (&json!("short"), &json!("30")));
}

// D/account/rest-api/Symbol-Config, D/trade/rest-api/Change-Initial-Leverage, Change-Margin-Type
#[test]
fn leverage_and_margin_mode() {
    let row = r#"{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":21,
        "maxNotionalValue":"1000000"}"#;
    // Older servers wrote the flag as a text.
    let isolated = row.replace("CROSSED", "ISOLATED").replace("false", "\"false\"");
    assert_eq!(
        events(answer("leverage", &format!("[{row},{isolated}]"))),
        json!([{"event":"leverage","pair":"BTC-USDT","leverage":"21","margin_mode":"cross"},
            {"event":"leverage","pair":"BTC-USDT","leverage":"21","margin_mode":"isolated"}])
    );
    let set = r#"{"leverage":21,"maxNotionalValue":"1000000","symbol":"BTCUSDT"}"#;
    assert_eq!(
        events(answer("set_leverage", set)),
        json!([{"event":"leverage","pair":"BTC-USDT","leverage":"21"}])
    );
    assert_eq!(events(answer("set_margin_mode", r#"{"code":200,"msg":"success"}"#)), json!([]));
    let leverage = Decimal::new(210, 1);
    let asked = LeverageQuery { symbol: "BTCUSDT".into(), leverage, margin_mode: MarginMode::Cross };
    assert_eq!(query(&perpetual().set_leverage, &asked), "symbol=BTCUSDT&leverage=21");
    for (margin_mode, word) in [(MarginMode::Cross, "CROSSED"), (MarginMode::Isolated, "ISOLATED")] {
        let asked = MarginModeQuery { symbol: "BTCUSDT".into(), margin_mode, leverage };
        let endpoint = perpetual().set_margin_mode.as_ref().unwrap();
        assert_eq!(query(endpoint, &asked), format!("symbol=BTCUSDT&marginType={word}"));
    }
}

// D/account/rest-api/Get-Current-Position-Mode, D/trade/rest-api/Change-Position-Mode
#[test]
fn position_mode() {
    for (flag, mode, word) in
        [("true", PositionMode::Hedge, "hedge"), ("false", PositionMode::OneWay, "one_way")]
    {
        let body = format!(r#"{{"dualSidePosition":{flag}}}"#);
        assert_eq!(events(answer("position_mode", &body)), json!([{"event":"position_mode","mode":word}]));
        let endpoint = perpetual().set_position_mode.as_ref().unwrap();
        assert_eq!(query(endpoint, &PositionModeQuery { mode }), format!("dualSidePosition={flag}"));
    }
    assert_eq!(events(answer("set_position_mode", r#"{"code":200,"msg":"success"}"#)), json!([]));
    assert!(answer("position_mode", r#"{"dualSidePosition":"true"}"#).is_err());
}

// D/account/rest-api/Notional-and-Leverage-Brackets: numbers stand without quotes there.
#[test]
fn leverage_brackets() {
    let body = r#"[{"symbol":"ETHUSDT","notionalCoef":1.50,"brackets":[
        {"bracket":2,"initialLeverage":50,"notionalCap":100000,"notionalFloor":10000,"maintMarginRatio":0.01,"cum":35.0},
        {"bracket":1,"initialLeverage":75,"notionalCap":10000,"notionalFloor":0,"maintMarginRatio":0.0065,"cum":0.0}]},
        {"symbol":"BTCUSDT","brackets":[]},{"symbol":"BTCUSDT"}]"#;
    let found = events(answer("brackets", body));
    assert_eq!(
        found[0],
        json!({"event":"leverage_brackets","pair":"ETH-USDT","brackets":[
            {"floor":"0","cap":"10000","max_leverage":"75","maintenance_ratio":"0.0065","deduction":"0"},
            {"floor":"10000","cap":"100000","max_leverage":"50","maintenance_ratio":"0.01","deduction":"35"}]})
    );
    for skipped in [&found[1], &found[2]] {
        assert!(skipped["error"].as_str().unwrap().ends_with("(BTCUSDT)"), "{skipped}");
    }
}

// D/market-data/rest-api/Mark-Price. `lastFundingRate` is the rate that accrues now. Delivery futures have none.
#[test]
fn funding_info() {
    let body = r#"[{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970",
        "estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000",
        "nextFundingTime":1597392000000,"time":1597370495002},
        {"symbol":"BTCUSDT_261225","markPrice":"1","indexPrice":"2","estimatedSettlePrice":"0.0","lastFundingRate":"",
        "interestRate":"","nextFundingTime":0,"time":1597370495002},{"symbol":"ETHUSDT"}]"#;
    let found = events(answer("funding_info", body));
    assert_eq!(
        found[0],
        json!({"event":"funding_info","pair":"BTC-USDT","rate":"0.00038246",
            "next_time_ns":1_597_392_000_000_000_000_i64,"mark_price":"11793.63104562","index_price":"11781.8049597",
            "time_ns":1_597_370_495_002_000_000_i64})
    );
    assert_eq!(
        found[1],
        json!({"event":"funding_info","exchange_symbol":"BTCUSDT_261225","mark_price":"1","index_price":"2",
            "time_ns":1_597_370_495_002_000_000_i64})
    );
    assert_eq!(found[2]["event"], "skipped");
    let FundingInfoRest::All(endpoint) = &perpetual().funding_info else { panic!("all markets at once") };
    assert_eq!(query(endpoint, &()), "");
}

// D/account/rest-api/Get-Income-History
#[test]
fn funding_payments() {
    let paid = r#"{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.37500000","asset":"USDT",
        "info":"FUNDING_FEE","time":1570608000000,"tranId":9689322392,"tradeId":""}"#;
    let other =
        paid.replace("FUNDING_FEE", "COMMISSION").replace("\"tradeId\":\"\"", "\"tradeId\":\"2059192\"");
    let odd = paid.replace("1570608000000", "0");
    let found = events(answer("funding_payments", &format!("[{other},{paid},{odd}]")));
    assert_eq!(
        found[0],
        json!({"event":"funding_payment","pair":"BTC-USDT","amount":"-0.375","asset":"USDT",
            "time_ns":1_570_608_000_000_000_000_i64,"payment_id":"9689322392"})
    );
    assert_eq!((&found[1]["event"], found.as_array().unwrap().len()), (&json!("skipped"), 2));
    let asked = FundingPaymentsQuery {
        from: UnixNanos::from_millis(1_570_608_000_000),
        to: UnixNanos::from_millis(1_570_636_800_000),
        limit: 5000,
    };
    assert_eq!(
        query(&perpetual().funding_payments, &asked),
        "incomeType=FUNDING_FEE&startTime=1570608000000&endTime=1570636800000&limit=1000"
    );
}
