//! Market data: D/market-data/rest-api.

use connector_core::dialect::Method;
use connector_core::order::Side;
use serde_json::json as value;

use crate::{Client, START, header, json, names, sorted};

// D/market-data/rest-api/Exchange-Information, and a row of 2026-09-26.
#[test]
fn exchange_information() {
    let mut client = Client::new();
    let told = client.look("/fapi/v1/exchangeInfo");
    assert_eq!(
        names(&told),
        sorted("assets exchangeFilters futuresType rateLimits serverTime symbols timezone")
    );
    assert_eq!(
        told["rateLimits"],
        value!([
            {"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300},
            {"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":1200},
            {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}])
    );
    let symbol =
        |name: &str| told["symbols"].as_array().unwrap().iter().find(|s| s["symbol"] == name).unwrap();
    let bitcoin = symbol("BTCUSDT");
    assert_eq!(
        names(bitcoin),
        sorted(
            "symbol pair contractType deliveryDate onboardDate status maintMarginPercent requiredMarginPercent
            baseAsset quoteAsset marginAsset pricePrecision quantityPrecision baseAssetPrecision quotePrecision
            underlyingType underlyingSubType settlePlan triggerProtect filters orderTypes timeInForce liquidationFee
            marketTakeBound maxMoveOrderLimit permissionSets"
        )
    );
    assert_eq!(
        [&bitcoin["contractType"], &bitcoin["status"], &bitcoin["marginAsset"], &bitcoin["liquidationFee"]],
        ["PERPETUAL", "TRADING", "USDT", "0.012500"]
    );
    assert_eq!((&bitcoin["pricePrecision"], &bitcoin["quantityPrecision"]), (&value!(1), &value!(3)));
    assert_eq!(
        bitcoin["filters"],
        value!([
            {"filterType":"PRICE_FILTER","minPrice":"0.1","maxPrice":"100000000","tickSize":"0.1"},
            {"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},
            {"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},
            {"filterType":"MAX_NUM_ORDERS","limit":200},
            {"filterType":"MIN_NOTIONAL","notional":"100"},
            {"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"},
            {"filterType":"POSITION_RISK_CONTROL","positionControlSide":"NONE"}])
    );
    assert_eq!(
        (&symbol("LUNA2USDT")["status"], &symbol("BTCUSDC")["marginAsset"]),
        (&value!("TRADING_HALT"), &value!("USDC"))
    );
}

#[test]
fn books_and_trades() {
    let mut client = Client::new();
    client.offer(Side::Sell, "61900", "2");
    client.offer(Side::Buy, "61800", "1");
    client.order("side=BUY&type=MARKET&quantity=0.5");
    let book = client.look("/fapi/v1/depth?symbol=BTCUSDT&limit=5");
    assert_eq!(
        book,
        value!({"lastUpdateId":book["lastUpdateId"],"E":START,"T":START,"bids":[["61800.00000000","1.00000000"]],
            "asks":[["61900.00000000","1.50000000"]]})
    );
    let trades = client.look("/fapi/v1/trades?symbol=BTCUSDT");
    assert_eq!(
        trades,
        value!([{"id":1,"price":"61900.00000000","qty":"0.50000000","quoteQty":"30950.00000000","time":START,
            "isBuyerMaker":false,"isRPITrade":false}])
    );
    let aggregated = client.look("/fapi/v1/aggTrades?symbol=BTCUSDT");
    assert_eq!(names(&aggregated[0]), sorted("a p q nq f l T m"));
    assert_eq!(
        client.look("/fapi/v2/ticker/price?symbol=BTCUSDT"),
        value!({"symbol":"BTCUSDT","price":"61900","time":START})
    );
    let best = client.look("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT");
    assert_eq!(names(&best), sorted("symbol bidPrice bidQty askPrice askQty time"));
    let day = client.look("/fapi/v1/ticker/24hr?symbol=BTCUSDT");
    assert_eq!(
        names(&day),
        sorted(
            "symbol priceChange priceChangePercent weightedAvgPrice lastPrice lastQty openPrice highPrice lowPrice
            volume quoteVolume openTime closeTime firstId lastId count"
        )
    );
    for all in ["/fapi/v1/ticker/price", "/fapi/v1/ticker/24hr", "/fapi/v1/ticker/bookTicker"] {
        assert_eq!(client.look(all).as_array().unwrap().len(), 7, "{all}");
    }
    assert_eq!(client.look("/fapi/v1/openInterest?symbol=BTCUSDT")["openInterest"], "0.5");
}

// D/market-data/rest-api/Kline-Candlestick-Data
#[test]
fn candles() {
    let mut client = Client::new();
    for price in ["61900", "61910"] {
        client.offer(Side::Sell, price, "1");
        client.order("side=BUY&type=MARKET&quantity=1");
    }
    client.wait(60_000);
    client.offer(Side::Buy, "61890", "1");
    client.order("side=SELL&type=MARKET&quantity=1");
    let candles = client.look("/fapi/v1/klines?symbol=BTCUSDT&interval=1m");
    let start = START / 60_000 * 60_000;
    assert_eq!(
        candles[0],
        value!([
            start,
            "61900",
            "61910",
            "61900",
            "61910",
            "2",
            start + 59_999,
            "123810",
            2,
            "2",
            "123810",
            "0"
        ])
    );
    assert_eq!(candles[1][8], 1);
    assert_eq!(candles[1][9], "0");
    let later = client.look(&format!("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={}", start + 1));
    assert_eq!(later.as_array().unwrap().len(), 1);
    let wrong = client.send(Method::Get, "/fapi/v1/klines?symbol=BTCUSDT&interval=7m", "", "");
    assert_eq!(json(&wrong)["code"], -1120);
}

// D/market-data/rest-api/Mark-Price, Get-Funding-Rate-History, Get-Funding-Rate-Info
#[test]
fn funding() {
    let mut client = Client::new();
    const HOURS: i64 = 3_600_000;
    let due = (START / (8 * HOURS) + 1) * 8 * HOURS;
    client.wait(1000);
    let info = client.look("/fapi/v1/premiumIndex?symbol=BTCUSDT");
    assert_eq!(
        info,
        value!({"symbol":"BTCUSDT","markPrice":"61837","indexPrice":"61837","estimatedSettlePrice":"61837",
            "lastFundingRate":"0.0001","interestRate":"0.0001","nextFundingTime":due,"time":info["time"]})
    );
    assert_eq!(client.look("/fapi/v1/fundingRate?symbol=BTCUSDT"), value!([]));
    client.wait(due - START);
    let rates = client.look("/fapi/v1/fundingRate?symbol=BTCUSDT");
    assert_eq!(
        rates,
        value!([{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingTime":due,"markPrice":"61837","rateType":"NORMAL"}])
    );
    let since = client.look(&format!("/fapi/v1/fundingRate?startTime={due}&limit=2"));
    assert_eq!(since.as_array().unwrap().len(), 2);
    // Only contracts with an interval of their own.
    assert_eq!(
        client.look("/fapi/v1/fundingInfo"),
        value!([{"symbol":"SOLUSDT","adjustedFundingRateCap":"0.0075","adjustedFundingRateFloor":"-0.0075",
            "fundingIntervalHours":4,"disclaimer":false}])
    );
}

#[test]
fn wrong_requests_and_weights() {
    let mut client = Client::new();
    let mut code = |target: &str| {
        let response = client.send(Method::Get, target, "", "");
        (response.status, json(&response)["code"].clone())
    };
    assert_eq!(code("/fapi/v1/depth"), (400, value!(-1102)));
    assert_eq!(code("/fapi/v1/depth?symbol=NOPE"), (400, value!(-1121)));
    assert_eq!(code("/fapi/v1/depth?symbol=BTCUSDT&limit=7"), (400, value!(-4021)));
    assert_eq!(code("/fapi/v1/historicalTrades?symbol=BTCUSDT"), (401, value!(-2014)));
    assert_eq!(client.look("/fapi/v1/ping"), value!({}));
    assert_eq!(client.look("/fapi/v1/time"), value!({"serverTime": START}));
    let mut used = 2 * 10 + 20 + 10 + 200 - 10 - 20 - 200 + 2;
    let mut weigh = |target: &str, weight: u64| {
        let response = client.send(Method::Get, target, "", "");
        let told: u64 = header(&response, "x-mbx-used-weight-1m").unwrap().parse().unwrap();
        assert_eq!(response.status, 200);
        let spent = told.checked_sub(used);
        used = told;
        assert!(
            spent.is_none_or(|spent| spent == weight || target == "/fapi/v1/ping"),
            "{target}: {spent:?}"
        );
    };
    weigh("/fapi/v1/ping", 1);
    weigh("/fapi/v1/depth?symbol=BTCUSDT&limit=50", 2);
    weigh("/fapi/v1/depth?symbol=BTCUSDT", 10);
    weigh("/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20);
    weigh("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1500", 10);
    weigh("/fapi/v1/ticker/24hr", 40);
    weigh("/fapi/v1/premiumIndex", 10);
    let unknown = client.send(Method::Get, "/fapi/v1/nothing", "", "");
    assert_eq!(unknown.status, 404);
}
