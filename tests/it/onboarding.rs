//! Signing up, landing in an isolated database, and using it.

use serde_json::json;

use crate::in_every_model;

in_every_model! {
    async fn a_stranger_signs_up_and_uses_its_own_data_alone(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let globex = server.settle("Globex").await;
        let wrote = acme.program.query("INSERT INTO notebooks (name) VALUES ($1) RETURNING name, archived", json!(["Ideas"])).await;
        assert_eq!(wrote.expect(200)["rows"], json!([["Ideas", false]]));
        let seen = acme.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["Ideas"]]));
        let others = globex.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(others["rows"], json!([]));
        let home = acme.owner.get("/v1/tenant/database").await.expect(200);
        assert_eq!(home["isolation"], scene.isolation);
        assert_eq!(home["state"], "active");
    }
}
